import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  condResched,
  createKernel,
  type Kernel,
  KernelBug,
  KernelError,
  Mutex,
  replayChoice,
  Scheduler,
  seededChoice,
  type Sleeps,
  WaitQueue,
} from "../src/index.ts";

/** Three tasks that write their names at each step. */
function race(
  kernel: Kernel,
  choice: (count: number) => number,
): { order: string; schedule: readonly number[] } {
  const scheduler = new Scheduler(kernel, choice);
  let order = "";
  function* racer(name: string): Sleeps<void> {
    for (let i = 0; i < 4; i++) {
      order += name;
      yield condResched;
    }
  }
  for (const name of ["a", "b", "c"]) scheduler.spawn(name, racer(name));
  scheduler.runAll();
  return { order, schedule: scheduler.schedule };
}

function* locking(first: Mutex, second: Mutex): Sleeps<void> {
  yield* first.lock();
  yield condResched;
  while (!second.tryLock()) yield { why: `mutex ${second.name}`, ready: () => !second.locked };
  second.unlock();
  first.unlock();
}

describe("schedules", () => {
  test("a seed always gives the same order, and its schedule replays it", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { order, schedule } = race(createKernel(), seededChoice(seed));
        expect(race(createKernel(), seededChoice(seed)).order).toBe(order);
        expect(race(createKernel(), replayChoice(schedule)).order).toBe(order);
      }),
    );
  });

  test("different seeds give different orders", () => {
    const orders = Array.from({ length: 30 }, (_, seed) => race(createKernel(), seededChoice(seed)).order);
    expect(new Set(orders).size).toBeGreaterThan(20);
  });

  test("a choice is recorded only where there was one", () => {
    const scheduler = new Scheduler(createKernel(), () => 0);
    scheduler.spawn("alone", steps(3));
    scheduler.runAll();
    expect(scheduler.schedule).toEqual([]);
  });

  test("a schedule that does not fit is a bug that names the step", () => {
    expect(() => race(createKernel(), replayChoice([0, 0]))).toThrow("the schedule does not fit at step 2");
    expect(() => race(createKernel(), replayChoice([3]))).toThrow("the schedule does not fit at step 0");
  });

  test("the look after each step comes after every step", () => {
    const scheduler = new Scheduler(createKernel(), () => 0);
    scheduler.spawn("a", steps(2));
    let looks = 0;
    scheduler.runAll(() => looks++);
    expect(looks).toBe(3);
  });
});

describe("tasks", () => {
  test("give their value, or throw what they threw", () => {
    const scheduler = new Scheduler(createKernel(), seededChoice(0));
    const good = scheduler.spawn("good", value(42));
    const bad = scheduler.spawn("bad", failing());
    expect(() => good.result).toThrow("task good has not finished");
    scheduler.runAll();
    expect(good.result).toBe(42);
    expect(() => bad.result).toThrow(expect.objectContaining({ errno: "EIO" }));
    expect([good.state.kind, bad.state.kind]).toEqual(["done", "failed"]);
  });

  test("a task that ends holding a lock is a bug that names the lock", () => {
    const kernel = createKernel();
    const mutex = new Mutex(kernel.lockdep, "mem_hotplug_lock");
    const scheduler = new Scheduler(kernel, seededChoice(0));
    scheduler.spawn("leaker", mutex.lock());
    expect(() => scheduler.runAll()).toThrow("task leaker ended holding mem_hotplug_lock");
  });

  test("lock order is told apart by task, and the caller's is back after each step", () => {
    const kernel = createKernel();
    const boot = kernel.lockdep.current;
    const scheduler = new Scheduler(kernel, seededChoice(0));
    let current = "";
    function* look(): Sleeps<void> {
      current = kernel.lockdep.current.name;
      yield condResched;
    }
    scheduler.spawn("looker", look());
    scheduler.step();
    expect(current).toBe("looker");
    expect(kernel.lockdep.current).toBe(boot);
  });
});

describe("deadlock", () => {
  test("is reported with every task, what it waits for and what it holds", () => {
    const kernel = createKernel();
    const a = new Mutex(kernel.lockdep, "a");
    const b = new Mutex(kernel.lockdep, "b");
    const scheduler = new Scheduler(kernel, roundRobin());
    scheduler.spawn("first", locking(a, b));
    scheduler.spawn("second", locking(b, a));
    expect(() => scheduler.runAll()).toThrow(
      "deadlock: first waits for mutex b holding [a]; second waits for mutex a holding [b]",
    );
  });

  test("a task that waits for what never comes is one, too", () => {
    const scheduler = new Scheduler(createKernel(), seededChoice(0));
    scheduler.spawn(
      "waiter",
      new WaitQueue("a page to be freed").waitEvent(() => false),
    );
    expect(() => scheduler.runAll()).toThrow(KernelBug);
  });
});

describe("timers", () => {
  test("the clock moves to the nearest timer when all sleep, and not before", () => {
    const kernel = createKernel();
    const woken: [string, number][] = [];
    function* sleeper(name: string, ns: number): Sleeps<void> {
      yield* kernel.clock.sleep(ns);
      woken.push([name, kernel.clock.nowNs]);
    }
    const scheduler = new Scheduler(kernel, seededChoice(7));
    scheduler.spawn("late", sleeper("late", 3000));
    scheduler.spawn("early", sleeper("early", 1000));
    scheduler.spawn("busy", steps(5));
    scheduler.runAll(() => {
      if (scheduler.tasks[2]?.state.kind === "running") expect(kernel.clock.nowNs).toBe(0);
    });
    expect(woken).toEqual([
      ["early", 1000],
      ["late", 3000],
    ]);
  });
});

function* steps(count: number): Sleeps<void> {
  for (let i = 0; i < count; i++) yield condResched;
}

function* value<T>(result: T): Sleeps<T> {
  yield condResched;
  return result;
}

function* failing(): Sleeps<void> {
  yield condResched;
  throw new KernelError("EIO", "the medium is bad");
}

function roundRobin(): (count: number) => number {
  let turn = 0;
  return (count) => turn++ % count;
}
