// Soft and hard offlining of single pages, and what becomes of their blocks.
import { type Errno, GiB, KernelError, nodeId, type Pfn, run, Scheduler, type Sleeps } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { expect, test } from "vitest";
import { GFP_KERNEL } from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const FRAME = 0x100003 as Pfn;

function machineWithMovableBlock(): HotplugMachine {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  machine.online(32, "online_movable");
  return machine;
}

/** The log lines of failing pages, without times. */
function failureLog({ kernel }: HotplugMachine): string[] {
  return kernel.log
    .format()
    .split("\n")
    .map((line) => line.replace(/^\[ *[\d.]+\] /, ""))
    .filter((line) => /^(Memory failure|soft.offline)/.test(line));
}

/** The frame of a page on an LRU list, whose owner refuses everything with the given errno. */
function frameOwned(machine: HotplugMachine, errno: Errno): Pfn {
  const { allocator, memmap } = machine.memory;
  const page = allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
  memmap.set(page, PageFlag.lru | PageFlag.uptodate);
  const refuse = function* (): Sleeps<void> {
    throw new KernelError(errno, "somebody holds on to it");
  };
  machine.failure.owner = { hardOffline: refuse, softOffline: refuse };
  return memmap.pageToPfn(page);
}

test("a free page that fails hard leaves the allocator, and its neighbours stay", () => {
  const machine = machineWithMovableBlock();
  const free = machine.freePages();
  run(machine.failure.hardOffline(FRAME));
  expect(free - machine.freePages()).toBe(1);
  expect(machine.memory.counters.poisonedPages).toBe(1);
  expect(machine.kernel.log.format()).toContain(
    "Memory failure: 0x100003: recovery action for free buddy page: Recovered",
  );
});

test("a frame that is not online is outside of the kernel's control, and the log says so of a hard failure alone", () => {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  expect(outcome(() => run(machine.failure.softOffline(FRAME)))).toBe("EIO");
  expect(failureLog(machine)).toEqual([]);
  expect(outcome(() => run(machine.failure.hardOffline(FRAME)))).toBe("ENXIO");
  expect(failureLog(machine)).toEqual(["Memory failure: 0x100003: memory outside kernel control"]);
});

test("a frame that isn't online may be a device's, who is told with the process that runs; without a struct page nobody is asked", () => {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  const told: unknown[] = [];
  machine.failure.devices = {
    *memoryFailure(frame, current) {
      told.push(frame, current);
      return true;
    },
  };
  const reader = {};
  run(machine.failure.hardOffline(FRAME, reader));
  expect(told).toEqual([FRAME, reader]);
  expect(outcome(() => run(machine.failure.hardOffline(0x900000000 as Pfn)))).toBe("ENXIO");
  expect(told).toHaveLength(2);
});

test("a page of the kernel that fails hard is EBUSY, poisoned all the same, and the log calls it unhandlable", () => {
  const machine = hotplugMachine();
  const { allocator, memmap } = machine.memory;
  const page = allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
  const frame = memmap.pageToPfn(page);
  expect(() => run(machine.failure.hardOffline(frame))).toThrow(
    /^EBUSY: page 0x\w+ \(refcount 1, .*\) can't be recovered: the kernel uses it/,
  );
  expect(failureLog(machine)).toEqual([
    `Memory failure: 0x${frame.toString(16)}: unhandlable page.`,
    `Memory failure: 0x${frame.toString(16)}: recovery action for unknown page: Ignored`,
  ]);
  expect(memmap.test(page, PageFlag.hwpoison)).toBe(true);
  expect(machine.memory.counters.poisonedPages).toBe(1);
});

test("what became of a page with users is logged by its owner, and by nobody else", () => {
  const machine = hotplugMachine();
  const frame = frameOwned(machine, "EBUSY");
  expect(outcome(() => run(machine.failure.hardOffline(frame)))).toBe("EBUSY");
  expect(outcome(() => run(machine.failure.softOffline(frameOwned(machine, "ENOMEM"))))).toBe("ENOMEM");
  expect(failureLog(machine)).toEqual([]);
});

test("a page of the kernel that is to be soft-offlined is logged as unhandlable, and as nothing else", () => {
  const machine = hotplugMachine();
  const frame = frameOwned(machine, "EIO");
  expect(outcome(() => run(machine.failure.softOffline(frame)))).toBe("EIO");
  expect(failureLog(machine)).toEqual([`Memory failure: 0x${frame.toString(16)}: unhandlable page.`]);
});

test("frame 0 has no prefix in the log", () => {
  const machine = hotplugMachine();
  expect(outcome(() => run(machine.failure.hardOffline(0 as Pfn)))).toBe("EBUSY");
  expect(failureLog(machine)[0]).toBe("Memory failure: 0: unhandlable page.");
});

test("a page that is soft-offlined twice is already poisoned the second time, and that is no error", () => {
  const machine = machineWithMovableBlock();
  run(machine.failure.softOffline(FRAME));
  run(machine.failure.softOffline(FRAME));
  expect(machine.memory.counters.poisonedPages).toBe(1);
  expect(machine.kernel.log.format()).toContain("soft_offline_page: 0x100003 page already poisoned");
});

test("a page that failed hard once is EHWPOISON the second time", () => {
  const machine = machineWithMovableBlock();
  run(machine.failure.hardOffline(FRAME));
  expect(outcome(() => run(machine.failure.hardOffline(FRAME)))).toBe("EHWPOISON");
  expect(failureLog(machine).at(-1)).toBe("Memory failure: 0x100003: already hardware poisoned");
  expect(machine.memory.counters.poisonedPages).toBe(1);
});

test("a frame without a struct page is ENXIO, one that isn't online is EIO for soft and ENXIO for hard offlining", () => {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  expect(outcome(() => run(machine.failure.softOffline(0x900000000 as Pfn)))).toBe("ENXIO");
  expect(outcome(() => run(machine.failure.softOffline(FRAME)))).toBe("EIO");
  expect(outcome(() => run(machine.failure.hardOffline(FRAME)))).toBe("ENXIO");
});

test("a poisoned page does not keep its block from going offline", () => {
  const machine = machineWithMovableBlock();
  run(machine.failure.hardOffline(FRAME));
  machine.offline(32);
  expect(machine.hotplug.block(32).state).toBe("offline");
});

test("memory that is removed takes its bad pages along", () => {
  const machine = machineWithMovableBlock();
  run(machine.failure.hardOffline(FRAME));
  machine.offline(32);
  machine.remove(4 * GiB);
  expect(machine.memory.counters.poisonedPages).toBe(0);
});

test("a page is soft-offlined while no memory comes or goes: it waits for hotplug to be done", () => {
  const machine = machineWithMovableBlock();
  const { locks } = machine.hotplug;
  const scheduler = new Scheduler(machine.kernel, () => 0);
  const seen: number[] = [];
  scheduler.spawn("hotplug", hotplugMeanwhile());
  scheduler.spawn("soft offline", machine.failure.softOffline(FRAME));
  scheduler.runAll();
  expect([...seen, machine.memory.counters.poisonedPages]).toEqual([0, 0, 0, 1]);

  function* hotplugMeanwhile(): Sleeps<void> {
    yield* locks.lockDeviceHotplug();
    yield* locks.memHotplugBegin();
    for (let turn = 0; turn < 3; turn++) {
      yield* machine.kernel.clock.sleep(1);
      seen.push(machine.memory.counters.poisonedPages);
    }
    locks.memHotplugDone();
    locks.unlockDeviceHotplug();
  }
});

test("a page of the kernel can't be soft-offlined: EIO", () => {
  const machine = hotplugMachine();
  const page = machine.memory.allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
  const frame = machine.memory.memmap.pageToPfn(page);
  expect(outcome(() => run(machine.failure.softOffline(frame)))).toBe("EIO");
  expect(machine.memory.memmap.test(page, PageFlag.hwpoison)).toBe(false);
});

test("a used page whose owner gives it up is poisoned afterwards and never handed out again", () => {
  const machine = machineWithMovableBlock();
  const { allocator, memmap } = machine.memory;
  const page = allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
  machine.failure.owner = {
    *hardOffline() {
      throw new Error("not asked for");
    },
    *softOffline(used) {
      memmap.putPage(used);
    },
  };
  run(machine.failure.softOffline(memmap.pageToPfn(page)));
  expect(memmap.test(page, PageFlag.hwpoison)).toBe(true);
  const given = Array.from({ length: 2000 }, () => allocator.allocPages(GFP_KERNEL, 0, nodeId(0)));
  expect(given).not.toContain(page);
});

test("boot memory that nobody has touched can fail, too", () => {
  const machine = hotplugMachine();
  run(machine.failure.hardOffline(0x20000 as Pfn));
  expect(machine.memory.counters.poisonedPages).toBe(1);
});
