// Notifiers of a whole address space, as mm/mmu_notifier.c has them.
import { condResched, KernelBug, run, Scheduler, seededChoice, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { describe, expect, test } from "vitest";
import {
  invalidateRange,
  invalidateRangeEnd,
  invalidateRangeStart,
  invalidateRangeStartNonblock,
  notifyChangePte,
} from "../src/invalidate.ts";
import {
  isOwnDoing,
  type MmuNotifierRange,
  mmuNotifierRangeBlockable,
  MmuNotifyEvent,
} from "../src/range.ts";
import {
  mmuNotifierGet,
  mmuNotifierPut,
  mmuNotifierRegister,
  mmuNotifierRelease,
  mmuNotifierSynchronize,
  mmuNotifierUnregister,
} from "../src/register.ts";
import { MmuNotifier, type MmuNotifierOps } from "../src/subscriptions.ts";
import { mmuNotifierClearFlushYoung, mmuNotifierClearYoung, mmuNotifierTestYoung } from "../src/young.ts";

const start = virtAddr(0x10_0000);
const end = virtAddr(0x20_0000);

const machineWithMm = (): { machine: VmMachine; mm: MmStruct } => {
  const machine = vmMachine();
  return { machine, mm: mmOf(machine.spawn()) };
};

const rangeOf = (mm: MmStruct, more: Partial<MmuNotifierRange> = {}): MmuNotifierRange => ({
  mm,
  start,
  end,
  event: MmuNotifyEvent.Unmap,
  ...more,
});

/** Registers a listener that writes down what it hears. */
function listen(mm: MmStruct, log: string[], name: string, more: MmuNotifierOps<string> = {}): MmuNotifier {
  const notifier = new MmuNotifier<string>(
    {
      *invalidateRangeStart(_notifier, range) {
        log.push(`${name}: start ${range.event}`);
        return true;
      },
      *invalidateRangeEnd(_notifier, range) {
        log.push(`${name}: end ${range.event}`);
      },
      ...more,
    },
    name,
  ) as MmuNotifier;
  run(mmuNotifierRegister(notifier, mm));
  return notifier;
}

function* bracket(range: MmuNotifierRange, log: string[]): Sleeps<void> {
  yield* invalidateRangeStart(range);
  log.push("change");
  yield* invalidateRangeEnd(range);
}

describe("a notifier", () => {
  test("hears of a change before it and after it, the newest listener first", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    listen(mm, log, "old");
    listen(mm, log, "new");
    run(bracket(rangeOf(mm), log));
    expect(log).toEqual([
      "new: start unmap",
      "old: start unmap",
      "change",
      "new: end unmap",
      "old: end unmap",
    ]);
  });

  test("hears nothing of other address spaces, and nothing after it was unregistered", () => {
    const { machine, mm } = machineWithMm();
    const log: string[] = [];
    const notifier = listen(mm, log, "one");
    run(bracket(rangeOf(mmOf(machine.spawn())), log));
    run(mmuNotifierUnregister(notifier, mm));
    run(bracket(rangeOf(mm), log));
    expect(log).toEqual(["change", "change"]);
  });

  test("is asked to release what it has when it is unregistered", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const notifier = listen(mm, log, "one", {
      *release() {
        log.push("release");
      },
    });
    run(mmuNotifierUnregister(notifier, mm));
    expect(log).toEqual(["release"]);
  });

  test("is released once when its address space ends, and has left by then", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const notifier = listen(mm, log, "one", {
      *release() {
        log.push("release");
      },
    });
    run(mmuNotifierRelease(mm));
    run(mmuNotifierUnregister(notifier, mm));
    expect(log).toEqual(["release"]);
  });

  test("of a driver with invalidateRange alone hears of changed entries and of the end", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const notifier = new MmuNotifier(
      { invalidateRange: (_notifier, _mm, from, to) => log.push(`${from}-${to}`) },
      undefined,
    );
    run(mmuNotifierRegister(notifier, mm));
    invalidateRange(mm, start, virtAddr(start + 4096));
    run(bracket(rangeOf(mm), log));
    expect(log).toEqual([`${start}-${start + 4096}`, "change", `${start}-${end}`]);
  });

  test("hears of an entry that maps another page", () => {
    const { mm } = machineWithMm();
    const log: unknown[] = [];
    listen(mm, [], "one", {
      changePte: (_notifier, _mm, address, value, flags) => log.push([address, value, flags]),
    });
    notifyChangePte(mm, start, 7, 3);
    expect(log).toEqual([[start, 7, 3]]);
  });

  test("can't be registered to an address space without users", () => {
    const { mm } = machineWithMm();
    mm.users = 0;
    expect(() => run(mmuNotifierRegister(new MmuNotifier({}, undefined), mm))).toThrow(KernelBug);
  });

  test("can't come while a range changes under the lock of a mapping", () => {
    const { machine, mm } = machineWithMm();
    const log: string[] = [];
    const scheduler = new Scheduler(machine.kernel, () => 0);
    scheduler.spawn("change", changeUnderLock());
    function* changeUnderLock(): Sleeps<void> {
      yield* mm.mmapLock.downRead();
      yield* invalidateRangeStart(rangeOf(mm));
      for (let i = 0; i < 5; i++) yield condResched;
      log.push("changed");
      yield* invalidateRangeEnd(rangeOf(mm));
      mm.mmapLock.upRead();
    }
    while (mm.mmapLock.readers === 0) scheduler.step();
    scheduler.spawn("driver", register());
    function* register(): Sleeps<void> {
      yield* mmuNotifierRegister(new MmuNotifier({}, undefined), mm);
      log.push("registered");
    }
    scheduler.runAll();
    expect(log).toEqual(["changed", "registered"]);
  });
});

describe("young bits of a device", () => {
  test("are asked of every notifier, forgotten by all, and tested until one says yes", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const device = (name: string, young: boolean): MmuNotifierOps<string> => {
      const answer = (what: string) => (): boolean => {
        log.push(`${name} ${what}`);
        return young;
      };
      return { clearFlushYoung: answer("flush"), clearYoung: answer("clear"), testYoung: answer("test") };
    };
    listen(mm, [], "old", device("old", false));
    listen(mm, [], "new", device("new", true));
    expect(mmuNotifierClearFlushYoung(mm, start, end)).toBe(true);
    expect(mmuNotifierClearYoung(mm, start, end)).toBe(true);
    expect(mmuNotifierTestYoung(mm, start)).toBe(true);
    expect(log).toEqual(["new flush", "old flush", "new clear", "old clear", "new test"]);
  });

  test("are none where nobody listens", () => {
    const { mm } = machineWithMm();
    expect(mmuNotifierClearFlushYoung(mm, start, end)).toBe(false);
    expect(mmuNotifierTestYoung(mm, start)).toBe(false);
  });
});

describe("an invalidation that must not sleep", () => {
  test("says so to listeners, and succeeds where none would have to", () => {
    const { mm } = machineWithMm();
    const blockable: boolean[] = [];
    listen(mm, [], "one", {
      *invalidateRangeStart(_notifier, range) {
        blockable.push(mmuNotifierRangeBlockable(range));
        return true;
      },
    });
    const range = rangeOf(mm);
    expect(invalidateRangeStartNonblock(range)).toBe(true);
    run(invalidateRangeEnd(range));
    run(bracket(rangeOf(mm), []));
    expect(blockable).toEqual([false, true]);
  });

  test("fails when one would have to sleep; all are asked, and those that let go get their end", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    listen(mm, log, "old");
    const sleeper = new MmuNotifier(
      {
        *invalidateRangeStart(_notifier: MmuNotifier, range: MmuNotifierRange): Sleeps<boolean> {
          log.push("sleeper refuses");
          return mmuNotifierRangeBlockable(range);
        },
      },
      undefined,
    );
    run(mmuNotifierRegister(sleeper, mm));
    listen(mm, log, "new");
    expect(invalidateRangeStartNonblock(rangeOf(mm))).toBe(false);
    expect(log).toEqual([
      "new: start unmap",
      "sleeper refuses",
      "old: start unmap",
      "new: end unmap",
      "old: end unmap",
    ]);
  });

  test("finds a listener that sleeps all the same", () => {
    const { mm } = machineWithMm();
    listen(mm, [], "one", {
      *invalidateRangeStart() {
        yield condResched;
        return true;
      },
    });
    expect(() => invalidateRangeStartNonblock(rangeOf(mm))).toThrow(/sleeps .*not blockable/);
  });

  test("finds a listener that refuses and has an end, which the kernel could not call rightly", () => {
    const { mm } = machineWithMm();
    listen(mm, [], "one", {
      *invalidateRangeStart() {
        return false;
      },
    });
    expect(() => invalidateRangeStartNonblock(rangeOf(mm))).toThrow(KernelBug);
  });
});

describe("start and end", () => {
  test("are a pair: an end without a start is found", () => {
    const { mm } = machineWithMm();
    listen(mm, [], "one");
    expect(() => run(invalidateRangeEnd(rangeOf(mm)))).toThrow(/never began/);
  });

  test("may be nested, and end in any order", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    listen(mm, log, "one");
    const [outer, inner] = [rangeOf(mm), rangeOf(mm, { event: MmuNotifyEvent.Clear })];
    run(invalidateRangeStart(outer));
    run(invalidateRangeStart(inner));
    run(invalidateRangeEnd(outer));
    run(invalidateRangeEnd(inner));
    expect(log).toEqual(["one: start unmap", "one: start clear", "one: end unmap", "one: end clear"]);
  });

  test("a listener that refuses although it may sleep is a broken driver", () => {
    const { mm } = machineWithMm();
    listen(mm, [], "one", {
      *invalidateRangeStart() {
        return false;
      },
    });
    expect(() => run(invalidateRangeStart(rangeOf(mm)))).toThrow(KernelBug);
  });

  test("a device knows what it asked for itself", () => {
    const { mm } = machineWithMm();
    const device = {};
    expect(isOwnDoing(rangeOf(mm, { event: MmuNotifyEvent.Migrate, owner: device }), device)).toBe(true);
    expect(isOwnDoing(rangeOf(mm, { event: MmuNotifyEvent.Exclusive, owner: device }), device)).toBe(true);
    expect(isOwnDoing(rangeOf(mm, { event: MmuNotifyEvent.Migrate, owner: {} }), device)).toBe(false);
    expect(isOwnDoing(rangeOf(mm, { event: MmuNotifyEvent.Unmap, owner: device }), device)).toBe(false);
    expect(isOwnDoing(rangeOf(mm, { event: MmuNotifyEvent.Migrate }), undefined)).toBe(false);
  });
});

describe("a notifier that is got by its ops", () => {
  const counted = (): { ops: MmuNotifierOps<number>; freed: number[] } => {
    let made = 0;
    const freed: number[] = [];
    return {
      freed,
      ops: { allocNotifier: () => ++made, freeNotifier: ({ data }) => freed.push(data) },
    };
  };

  test("is one an address space, however often it is got, and is freed with the last put", () => {
    const { machine, mm } = machineWithMm();
    const { ops, freed } = counted();
    const first = run(mmuNotifierGet(ops, mm));
    expect(run(mmuNotifierGet(ops, mm))).toBe(first);
    expect(run(mmuNotifierGet(ops, mmOf(machine.spawn())))).not.toBe(first);
    mmuNotifierPut(first);
    expect(freed).toEqual([]);
    mmuNotifierPut(first);
    expect(freed).toEqual([1]);
    expect(run(mmuNotifierGet(ops, mm)).data).toBe(3);
  });

  test("is not freed while a callback runs", () => {
    const { machine, mm } = machineWithMm();
    const log: string[] = [];
    const ops: MmuNotifierOps<undefined> = {
      allocNotifier: () => undefined,
      freeNotifier: () => log.push("freed"),
      *invalidateRangeStart() {
        log.push("callback begins");
        yield condResched;
        yield condResched;
        log.push("callback ends");
        return true;
      },
    };
    const notifier = run(mmuNotifierGet(ops, mm));
    const scheduler = new Scheduler(machine.kernel, seededChoice(1));
    scheduler.spawn("change", invalidateRangeStart(rangeOf(mm)));
    while (log.length === 0) scheduler.step();
    mmuNotifierPut(notifier);
    scheduler.spawn("module exit", mmuNotifierSynchronize(machine.vm));
    scheduler.runAll();
    expect(log).toEqual(["callback begins", "callback ends", "freed"]);
  });

  test("can be put in its own release", () => {
    const { mm } = machineWithMm();
    const log: string[] = [];
    const ops: MmuNotifierOps<undefined> = {
      allocNotifier: () => undefined,
      freeNotifier: () => log.push("freed"),
      *release(notifier) {
        mmuNotifierPut(notifier);
        log.push("released");
      },
    };
    run(mmuNotifierGet(ops, mm));
    run(mmuNotifierRelease(mm));
    expect(log).toEqual(["released", "freed"]);
  });

  test("put once too often is found", () => {
    const { mm } = machineWithMm();
    const notifier = run(mmuNotifierGet(counted().ops, mm));
    mmuNotifierPut(notifier);
    expect(() => mmuNotifierPut(notifier)).toThrow(KernelBug);
  });
});

test("unregistering waits for callbacks that run, and no callback comes after it", () => {
  const { machine, mm } = machineWithMm();
  const log: string[] = [];
  const notifier = listen(mm, [], "slow", {
    *invalidateRangeStart() {
      log.push("begins");
      for (let i = 0; i < 3; i++) yield condResched;
      log.push("ends");
      return true;
    },
  });
  const range = rangeOf(mm);
  const scheduler = new Scheduler(machine.kernel, seededChoice(3));
  scheduler.spawn("change", bracket(range, log));
  while (log.length === 0) scheduler.step();
  scheduler.spawn("driver", unregister());
  function* unregister(): Sleeps<void> {
    yield* mmuNotifierUnregister(notifier, mm);
    log.push("unregistered");
  }
  scheduler.runAll();
  expect(log.indexOf("unregistered")).toBeGreaterThan(log.indexOf("ends"));
});
