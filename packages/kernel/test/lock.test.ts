import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  condResched,
  createKernel,
  KernelBug,
  Mutex,
  run,
  RwSemaphore,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "../src/index.ts";

const anySeed = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe("mutex", () => {
  test("is held by one task at a time, whatever the schedule", () => {
    fc.assert(
      fc.property(anySeed, fc.integer({ min: 2, max: 5 }), (seed, tasks) => {
        const kernel = createKernel();
        const mutex = new Mutex(kernel.lockdep, "lock");
        let inside = 0;
        let entries = 0;
        function* worker(): Sleeps<void> {
          for (let i = 0; i < 3; i++) {
            yield* mutex.lock();
            expect(++inside).toBe(1);
            yield condResched;
            inside--;
            entries++;
            mutex.unlock();
          }
        }
        const scheduler = new Scheduler(kernel, seededChoice(seed));
        const workers = Array.from({ length: tasks }, (_, i) => scheduler.spawn(`task${i}`, worker()));
        scheduler.runAll();
        for (const task of workers) void task.result;
        expect(entries).toBe(3 * tasks);
        expect(mutex.locked).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test("a try fails while it is held and takes it when it is free", () => {
    const { lockdep } = createKernel();
    const mutex = new Mutex(lockdep, "lock");
    expect(mutex.tryLock()).toBe(true);
    expect(mutex.tryLock()).toBe(false);
    expect([mutex.locked, mutex.heldByCurrent, lockdep.holds("lock")]).toEqual([true, true, true]);
    mutex.unlock();
    expect([mutex.locked, mutex.heldByCurrent, lockdep.holds("lock")]).toEqual([false, false, false]);
  });

  test("only its holder unlocks it", () => {
    const { lockdep } = createKernel();
    const mutex = new Mutex(lockdep, "lock");
    expect(() => mutex.unlock()).toThrow("swapper unlocks lock, held by nobody");
    run(mutex.lock());
    lockdep.current = { name: "thief", held: [] };
    expect(() => mutex.unlock()).toThrow("thief unlocks lock, held by swapper");
    expect([mutex.locked, mutex.heldByCurrent]).toEqual([true, false]);
  });
});

describe("rw-semaphore", () => {
  test("has many readers or one writer, whatever the schedule", () => {
    let mostReaders = 0;
    fc.assert(
      fc.property(anySeed, fc.array(fc.boolean(), { minLength: 2, maxLength: 6 }), (seed, roles) => {
        const kernel = createKernel();
        const semaphore = new RwSemaphore(kernel.lockdep, "sem");
        let readers = 0;
        let writers = 0;
        const check = (): void => {
          expect(writers === 0 || (writers === 1 && readers === 0)).toBe(true);
          expect([semaphore.readers, semaphore.writeLocked]).toEqual([readers, writers === 1]);
          mostReaders = Math.max(mostReaders, readers);
        };
        function* reader(): Sleeps<void> {
          yield* semaphore.downRead();
          readers++;
          yield condResched;
          readers--;
          semaphore.upRead();
        }
        function* writer(): Sleeps<void> {
          yield* semaphore.downWrite();
          writers++;
          expect(semaphore.writtenByCurrent).toBe(true);
          yield condResched;
          writers--;
          semaphore.upWrite();
        }
        const scheduler = new Scheduler(kernel, seededChoice(seed));
        const tasks = roles.map((writes, i) => scheduler.spawn(`task${i}`, writes ? writer() : reader()));
        scheduler.runAll(check);
        for (const task of tasks) void task.result;
      }),
      { seed: 1 },
    );
    expect(mostReaders).toBeGreaterThan(1);
  });

  test("a writer that waits holds new readers off", () => {
    const kernel = createKernel();
    const semaphore = new RwSemaphore(kernel.lockdep, "sem");
    expect(semaphore.tryDownRead()).toBe(true);
    expect(semaphore.tryDownRead()).toBe(true);
    const scheduler = new Scheduler(kernel, seededChoice(0));
    const writer = scheduler.spawn("writer", semaphore.downWrite());
    scheduler.step();
    expect(semaphore.tryDownRead()).toBe(true);
    scheduler.step();
    expect(writer.waitsFor?.why).toBe("write sem");
    expect(semaphore.tryDownRead()).toBe(false);
    for (let i = 0; i < 3; i++) semaphore.upRead();
    expect(writer.runnable).toBe(true);
  });

  test("a writer that gives up waiting lets readers in again", () => {
    const { lockdep } = createKernel();
    const semaphore = new RwSemaphore(lockdep, "sem");
    semaphore.tryDownRead();
    lockdep.current = { name: "writer", held: [] };
    const writer = semaphore.downWrite();
    writer.next();
    writer.next();
    expect(semaphore.tryDownRead()).toBe(false);
    writer.return();
    expect(semaphore.tryDownRead()).toBe(true);
  });

  test("ending what nobody began is a bug", () => {
    const { lockdep } = createKernel();
    const semaphore = new RwSemaphore(lockdep, "sem");
    expect(() => semaphore.upRead()).toThrow(KernelBug);
    expect(() => semaphore.upWrite()).toThrow("held by nobody");
  });

  test("a task that ends another's read is a bug, and the reader keeps it", () => {
    const { lockdep } = createKernel();
    const semaphore = new RwSemaphore(lockdep, "sem");
    semaphore.tryDownRead();
    lockdep.current = { name: "thief", held: [] };
    expect(() => semaphore.upRead()).toThrow("thief releases sem, which it does not hold");
    expect(semaphore.readers).toBe(1);
  });
});
