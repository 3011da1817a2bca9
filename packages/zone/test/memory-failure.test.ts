// Soft and hard offlining of single pages, and what becomes of their blocks.
import { GiB, nodeId, type Pfn, run } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { expect, test } from "vitest";
import { GFP_KERNEL } from "../src/index.ts";
import { hotplugMachine, type HotplugMachine, outcome } from "./hotplug-machine.ts";

const FRAME = 0x100003 as Pfn;

function machineWithMovableBlock(): HotplugMachine {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  machine.online(32, "online_movable");
  return machine;
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
