// Interval notifiers: who hears of what, sequences, and what happens to those that come and go while a range changes.
import { KernelBug, KernelError, Mutex, run, Scheduler, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { describe, expect, test } from "vitest";
import {
  mmuIntervalCheckRetry,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierInsertLocked,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
} from "../src/interval-notifier.ts";
import { invalidateRangeEnd, invalidateRangeStart, invalidateRangeStartNonblock } from "../src/invalidate.ts";
import { type MmuNotifierRange, mmuNotifierRangeBlockable, MmuNotifyEvent } from "../src/range.ts";
import { mmuNotifierRegister, mmuNotifierRelease } from "../src/register.ts";
import { MmuIntervalNotifier, MmuNotifier } from "../src/subscriptions.ts";

const PAGE = 4096;

const machineWithMm = (): { machine: VmMachine; mm: MmStruct } => {
  const machine = vmMachine();
  return { machine, mm: mmOf(machine.spawn()) };
};

const rangeOf = (mm: MmStruct, firstPage: number, pages: number): MmuNotifierRange => ({
  mm,
  start: virtAddr(firstPage * PAGE),
  end: virtAddr((firstPage + pages) * PAGE),
  event: MmuNotifyEvent.Unmap,
});

/** A notifier that writes down what it hears, as `name firstPage+pages event`. */
function recorder(log: string[], name: string): MmuIntervalNotifier {
  return new MmuIntervalNotifier(
    {
      *invalidate(notifier, { start, end, event }, sequence) {
        mmuIntervalSetSeq(notifier, sequence);
        log.push(
          event === "release" ? `${name} ${event}` : `${name} ${start / PAGE}+${(end - start) / PAGE}`,
        );
        return true;
      },
    },
    undefined,
  );
}

function insert(mm: MmStruct, notifier: MmuIntervalNotifier, firstPage: number, pages: number): void {
  run(mmuIntervalNotifierInsert(notifier, mm, virtAddr(firstPage * PAGE), pages * PAGE));
}

function* bracket(range: MmuNotifierRange): Sleeps<void> {
  yield* invalidateRangeStart(range);
  yield* invalidateRangeEnd(range);
}

describe("an interval notifier", () => {
  test("hears of ranges that overlap its own, by a byte or more, and of no others", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    insert(mm, recorder(log, "low"), 10, 10);
    insert(mm, recorder(log, "high"), 20, 10);
    for (const [first, pages] of [
      [0, 10],
      [5, 6],
      [19, 2],
      [29, 100],
      [30, 1],
    ] as const)
      run(bracket(rangeOf(mm, first, pages)));
    expect(log).toEqual(["low 5+6", "low 19+2", "high 19+2", "high 29+100"]);
  });

  test("may overlap another; both hear, by address", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    insert(mm, recorder(log, "b"), 5, 10);
    insert(mm, recorder(log, "a"), 0, 10);
    run(bracket(rangeOf(mm, 7, 1)));
    expect(log).toEqual(["a 7+1", "b 7+1"]);
  });

  test("hears before notifiers of the whole address space do", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const whole = new MmuNotifier(
      {
        *invalidateRangeStart() {
          log.push("whole");
          return true;
        },
      },
      undefined,
    );
    run(mmuNotifierRegister(whole, mm));
    insert(mm, recorder(log, "interval"), 0, 10);
    run(bracket(rangeOf(mm, 0, 1)));
    expect(log).toEqual(["interval 0+1", "whole"]);
  });

  test("hears nothing after it was removed", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const notifier = recorder(log, "one");
    insert(mm, notifier, 0, 10);
    run(mmuIntervalNotifierRemove(notifier));
    run(bracket(rangeOf(mm, 0, 1)));
    expect(log).toEqual([]);
  });

  test("hears of the end of its address space", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    insert(mm, recorder(log, "one"), 0, 10);
    run(mmuNotifierRelease(mm));
    expect(log).toEqual(["one release"]);
  });

  test("of an empty range is refused", () => {
    const { mm } = machineWithMm();
    expect(() => insert(mm, recorder([], "one"), 0, 0)).toThrow(KernelError);
  });

  test("can be inserted with the mmap lock held, and not twice", () => {
    const { mm } = machineWithMm();
    const notifier = recorder([], "one");
    run(mm.mmapLock.downWrite());
    run(mmuIntervalNotifierInsertLocked(notifier, mm, virtAddr(0), PAGE));
    mm.mmapLock.upWrite();
    expect(() => insert(mm, notifier, 0, 1)).toThrow(KernelBug);
  });

  test("can't be inserted into an address space without users", () => {
    const { mm } = machineWithMm();
    insert(mm, recorder([], "one"), 0, 1);
    mm.users = 0;
    expect(() => insert(mm, recorder([], "two"), 0, 1)).toThrow(KernelBug);
  });
});

describe("a reader of the cpu's tables", () => {
  test("need not begin again when nothing was invalidated, nor when something else was", () => {
    const { mm } = machineWithMm();
    const notifier = recorder([], "one");
    insert(mm, notifier, 0, 10);
    const sequence = run(mmuIntervalReadBegin(notifier));
    expect(mmuIntervalReadRetry(notifier, sequence)).toBe(false);
    run(bracket(rangeOf(mm, 20, 1)));
    expect(mmuIntervalReadRetry(notifier, sequence)).toBe(false);
  });

  test("begins again when its interval was invalidated meanwhile, and only once", () => {
    const { mm } = machineWithMm();
    const notifier = recorder([], "one");
    insert(mm, notifier, 0, 10);
    const sequence = run(mmuIntervalReadBegin(notifier));
    run(bracket(rangeOf(mm, 0, 1)));
    expect(mmuIntervalCheckRetry(notifier, sequence)).toBe(true);
    const again = run(mmuIntervalReadBegin(notifier));
    expect(mmuIntervalReadRetry(notifier, again)).toBe(false);
  });

  test("waits at its begin for the end of an invalidation that hit it, and for that of no other", () => {
    const { machine, mm } = machineWithMm();
    const [hit, missed] = [recorder([], "hit"), recorder([], "missed")];
    insert(mm, hit, 0, 10);
    insert(mm, missed, 20, 10);
    const range = rangeOf(mm, 0, 1);
    run(invalidateRangeStart(range));
    expect(mmuIntervalReadRetry(missed, run(mmuIntervalReadBegin(missed)))).toBe(false);
    const scheduler = new Scheduler(machine.kernel, () => 0);
    const reader = scheduler.spawn("reader", mmuIntervalReadBegin(hit));
    scheduler.step();
    expect(reader.runnable).toBe(false);
    run(invalidateRangeEnd(range));
    expect(reader.runnable).toBe(true);
    scheduler.runAll();
    expect(mmuIntervalReadRetry(hit, reader.result)).toBe(false);
  });

  test("waits for the last of several invalidations that run at once", () => {
    const { machine, mm } = machineWithMm();
    const notifier = recorder([], "one");
    insert(mm, notifier, 0, 10);
    const [first, second] = [rangeOf(mm, 0, 1), rangeOf(mm, 50, 1)];
    run(invalidateRangeStart(first));
    run(invalidateRangeStart(second));
    const scheduler = new Scheduler(machine.kernel, () => 0);
    const reader = scheduler.spawn("reader", mmuIntervalReadBegin(notifier));
    scheduler.step();
    run(invalidateRangeEnd(first));
    expect(reader.runnable).toBe(false);
    run(invalidateRangeEnd(second));
    scheduler.runAll();
    expect(reader.state.kind).toBe("done");
  });

  test("that begins with a lock held that its callback takes is found, though it never deadlocked", () => {
    const { machine, mm } = machineWithMm();
    const mutex = new Mutex(machine.kernel.lockdep, "driver");
    const notifier = new MmuIntervalNotifier(
      {
        *invalidate(self, _range, sequence): Sleeps<boolean> {
          yield* mutex.lock();
          mmuIntervalSetSeq(self, sequence);
          mutex.unlock();
          return true;
        },
      },
      undefined,
    );
    insert(mm, notifier, 0, 10);
    run(bracket(rangeOf(mm, 0, 1)));
    run(mutex.lock());
    expect(() => run(mmuIntervalReadBegin(notifier))).toThrow(/circular locking/);
  });
});

describe("while a range changes", () => {
  test("who comes is told nothing of it, but his first read waits for its end", () => {
    const { machine, mm } = machineWithMm();
    const log: string[] = [];
    insert(mm, recorder(log, "old"), 0, 10);
    const range = rangeOf(mm, 0, 100);
    run(invalidateRangeStart(range));
    const fresh = recorder(log, "fresh");
    insert(mm, fresh, 50, 10);
    expect(mm.notifiers?.itree.has(fresh)).toBe(false);
    const scheduler = new Scheduler(machine.kernel, () => 0);
    const reader = scheduler.spawn("reader", mmuIntervalReadBegin(fresh));
    scheduler.step();
    expect(reader.runnable).toBe(false);
    run(invalidateRangeEnd(range));
    scheduler.runAll();
    expect(mm.notifiers?.itree.has(fresh)).toBe(true);
    run(bracket(rangeOf(mm, 50, 1)));
    expect(log).toEqual(["old 0+100", "fresh 50+1"]);
  });

  test("that no interval overlaps, who comes enters at once, and reads wait all the same", () => {
    const { machine, mm } = machineWithMm();
    insert(mm, recorder([], "old"), 0, 10);
    const range = rangeOf(mm, 40, 20);
    run(invalidateRangeStart(range));
    const fresh = recorder([], "fresh");
    insert(mm, fresh, 50, 10);
    expect(mm.notifiers?.itree.has(fresh)).toBe(true);
    const scheduler = new Scheduler(machine.kernel, () => 0);
    const reader = scheduler.spawn("reader", mmuIntervalReadBegin(fresh));
    scheduler.step();
    expect(reader.runnable).toBe(false);
    run(invalidateRangeEnd(range));
    scheduler.runAll();
    expect(reader.state.kind).toBe("done");
  });

  test("who goes waits for its end, and is gone then", () => {
    const { machine, mm } = machineWithMm();
    const notifier = recorder([], "one");
    insert(mm, notifier, 0, 10);
    const range = rangeOf(mm, 0, 1);
    run(invalidateRangeStart(range));
    const scheduler = new Scheduler(machine.kernel, () => 0);
    const driver = scheduler.spawn("driver", mmuIntervalNotifierRemove(notifier));
    scheduler.step();
    expect(driver.runnable).toBe(false);
    run(invalidateRangeEnd(range));
    scheduler.runAll();
    expect(mm.notifiers?.itree.size).toBe(0);
  });

  test("who comes and goes has never been there, and waits for nothing", () => {
    const { mm } = machineWithMm();
    insert(mm, recorder([], "old"), 0, 10);
    const range = rangeOf(mm, 0, 1);
    run(invalidateRangeStart(range));
    const fresh = recorder([], "fresh");
    insert(mm, fresh, 0, 10);
    run(mmuIntervalNotifierRemove(fresh));
    run(invalidateRangeEnd(range));
    expect(mm.notifiers?.itree.size).toBe(1);
  });
});

describe("an invalidation that must not sleep", () => {
  const refusing = (): MmuIntervalNotifier =>
    new MmuIntervalNotifier(
      {
        *invalidate(_notifier, range): Sleeps<boolean> {
          return mmuNotifierRangeBlockable(range);
        },
      },
      undefined,
    );

  test("fails where an interval's callback would have to; readers don't wait for it then", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const told = recorder(log, "told");
    insert(mm, told, 0, 10);
    insert(mm, refusing(), 5, 10);
    expect(invalidateRangeStartNonblock(rangeOf(mm, 0, 100))).toBe(false);
    expect(log).toEqual(["told 0+100"]);
    expect(mmuIntervalReadRetry(told, run(mmuIntervalReadBegin(told)))).toBe(false);
    expect(mm.notifiers?.activeInvalidateRanges).toBe(0);
  });

  test("that a notifier of the whole address space refuses is over for intervals, too", () => {
    const { mm } = machineWithMm();
    const told = recorder([], "told");
    insert(mm, told, 0, 10);
    const whole = new MmuNotifier(
      {
        *invalidateRangeStart(_notifier: MmuNotifier, range: MmuNotifierRange): Sleeps<boolean> {
          return mmuNotifierRangeBlockable(range);
        },
      },
      undefined,
    );
    run(mmuNotifierRegister(whole, mm));
    expect(invalidateRangeStartNonblock(rangeOf(mm, 0, 1))).toBe(false);
    // In 6.1 this reader waits for ever.
    run(mmuIntervalReadBegin(told));
    expect(mm.notifiers?.activeInvalidateRanges).toBe(0);
  });

  test("finds a callback that refuses although it may sleep", () => {
    const { mm } = machineWithMm();
    const notifier = new MmuIntervalNotifier(
      {
        *invalidate(): Sleeps<boolean> {
          return false;
        },
      },
      undefined,
    );
    insert(mm, notifier, 0, 10);
    expect(() => run(invalidateRangeStart(rangeOf(mm, 0, 1)))).toThrow(KernelBug);
  });
});

test("an address space that nobody listens to is changed without a step", () => {
  const { mm } = machineWithMm();
  const range = rangeOf(mm, 0, 1);
  expect(invalidateRangeStart(range).next().done).toBe(true);
  expect(invalidateRangeEnd(range).next().done).toBe(true);
  expect(mm.notifiers).toBeUndefined();
});
