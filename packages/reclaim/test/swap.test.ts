import { outcome } from "@hetmem/test-machines/outcome";
import { assertInvariants, KiB, MiB } from "@hetmem/kernel";
import { exitProcess, MapFlag, Rss, trylockPage, uncharged, unlockPage, vmInvariants } from "@hetmem/mm";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { mmOf, PAGE } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE, NodeStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import { swapInvariants } from "../src/swap/invariants.ts";
import { addToSwap } from "../src/swap/add-to-swap.ts";
import { swapSpace } from "../src/swap/swap-space.ts";
import { swapoff } from "../src/swap/swapoff.ts";
import { swapsText } from "../src/swap/swaps-text.ts";

/** A process that has written to more pages than memory has, the rest of which are in swap. */
function swappedProcess(machine: ShortMachine, pages = 5000) {
  const process = machine.spawn("swapped");
  const start = machine.map(process, pages);
  machine.fill(process, start, pages);
  return { process, start, pages };
}

test("/proc/swaps lists each device with its size less the header, in kilobytes", () => {
  const { vm } = shortMachine();
  swapSpace(vm).swapon({ path: "/dev/sdb1", size: 1024 * MiB });
  swapSpace(vm).swapon({ path: "/swapfile", size: 2 * MiB, priority: 5, kind: "file" });
  expect(swapsText(vm.swap.areas)).toBe(
    "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" +
      "/dev/sdb1                               partition\t1048572\t\t0\t\t-2\n" +
      "/swapfile                               file\t\t2044\t\t0\t\t5\n",
  );
  expect([vm.swap.totalPages, vm.swap.freePages]).toEqual([262_143 + 511, 262_143 + 511]);
});

test("swapon refuses what is too small, what is swap already, and a priority that is none", () => {
  const { vm } = shortMachine();
  expect(outcome(() => swapSpace(vm).swapon({ path: "/dev/a", size: 9 * PAGE }))).toBe("EINVAL");
  expect(outcome(() => swapSpace(vm).swapon({ path: "/dev/a", size: MiB, priority: -1 }))).toBe("EINVAL");
  swapSpace(vm).swapon({ path: "/dev/a", size: MiB });
  expect(outcome(() => swapSpace(vm).swapon({ path: "/dev/a", size: MiB }))).toBe("EBUSY");
});

test("there are 22 swap areas at the most", () => {
  const { vm } = shortMachine();
  for (let i = 0; i < 22; i++) swapSpace(vm).swapon({ path: `/dev/a${i}`, size: 64 * KiB });
  expect(outcome(() => swapSpace(vm).swapon({ path: "/dev/b", size: MiB }))).toBe("EPERM");
});

test("the device with the highest priority is filled first, and devices of equal priority in turn", () => {
  const machine = shortMachine();
  const swap = swapSpace(machine.vm);
  const slow = swap.swapon({ path: "/dev/slow", size: 65 * PAGE });
  const fast = swap.swapon({ path: "/dev/fast", size: 17 * PAGE, priority: 10 });
  const twin = swap.swapon({ path: "/dev/twin", size: 17 * PAGE, priority: 10 });
  for (let i = 0; i < 8; i++) swap.allocSlot(1 as never);
  expect([slow.used, fast.used, twin.used]).toEqual([0, 4, 4]);
  for (let i = 0; i < 30; i++) swap.allocSlot(1 as never);
  expect([slow.used, fast.used, twin.used]).toEqual([6, 16, 16]);
});

test("a slot that is free again is given again, and a full device gives none", () => {
  const { vm } = shortMachine();
  const device = swapSpace(vm).swapon({ path: "/dev/a", size: 601 * PAGE });
  const slots = new Set<number>();
  for (let i = 0; i < 600; i++) slots.add(vm.swap.allocSlot(1 as never));
  expect(slots.size).toBe(600);
  expect(vm.swap.allocSlot(1 as never)).toBe(0);
  device.clearHasCache(300);
  swapSpace(vm).release(device, 300);
  expect(vm.swap.allocSlot(1 as never)).toBe(300);
});

test("a slot counts more users than fit a byte", () => {
  const { vm } = shortMachine();
  const device = swapSpace(vm).swapon({ path: "/dev/a", size: MiB });
  const slot = device.allocSlot();
  for (let i = 0; i < 200; i++) vm.swap.duplicate(0, slot);
  expect(vm.swap.count(0, slot)).toBe(200);
  for (let i = 0; i < 199; i++) vm.swap.free(0, slot);
  expect([vm.swap.count(0, slot), device.hasCache(slot)]).toEqual([1, true]);
});

test("a page in the swap cache knows its slot, the slot knows the page, and the cache holds a reference", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm, memory } = machine;
  const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, 0 as never);
  vm.memmap.set(page, PageFlag.swapbacked);
  trylockPage(vm.memmap, page);
  expect(addToSwap(vm, page)).toBe(true);
  expect(vm.memmap.private(page)).toBe(1);
  expect(vm.swap.cache.lookup(0, 1)).toBe(page);
  expect(vm.memmap.refcount(page)).toBe(2);
  // Nothing is written there yet.
  expect(vm.memmap.test(page, PageFlag.dirty)).toBe(true);
  expect([machine.stat(NodeStat.nr_swapcached), machine.stat(NodeStat.nr_file_pages)]).toEqual([1, 1]);
  expect(vm.swap.freeSwap(page)).toBe(true);
  expect(vm.swap.cache.lookup(0, 1)).toBe(NULL_PAGE);
  expect([vm.memmap.refcount(page), machine.device?.used, machine.stat(NodeStat.nr_swapcached)]).toEqual([
    1, 0, 0,
  ]);
  unlockPage(vm.memmap, page);
});

test("a page whose slot an entry still names stays in the swap cache", () => {
  const { vm, memory } = shortMachine({ swap: MiB });
  const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, 0 as never);
  trylockPage(vm.memmap, page);
  addToSwap(vm, page);
  vm.swap.duplicate(0, 1);
  expect(vm.swap.freeSwap(page)).toBe(false);
  unlockPage(vm.memmap, page);
  // The last entry goes, and the page that nobody maps with it, but for the test's own reference.
  vm.swap.free(0, 1);
  expect(vm.memmap.test(page, PageFlag.swapcache)).toBe(false);
});

test("what was swapped out is read back byte by byte", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const { process, start, pages } = swappedProcess(machine);
  const swapped = mmOf(process).rss[Rss.swapEntries] as number;
  expect(swapped).toBeGreaterThan(1000);
  expect(machine.event("pswpout")).toBeGreaterThanOrEqual(swapped);
  expect(machine.damaged(process, start, pages)).toEqual([]);
  expect(machine.event("pswpin")).toBeGreaterThanOrEqual(swapped);
});

test("swap is free again after the process has ended, and no page is lost", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const before = machine.freePages();
  const { process, start, pages } = swappedProcess(machine);
  machine.damaged(process, start, pages);
  machine.run(exitProcess(process));
  expect(machine.vm.swap.freePages).toBe(machine.vm.swap.totalPages);
  expect(machine.stat(NodeStat.nr_swapcached)).toBe(0);
  // The page table that the process began with has gone too.
  expect(machine.freePages() - before).toBe(0);
});

test("when swap is full, pages stay where they are", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedProcess(machine, 3800);
  expect(process.killed).toBe(false);
  const rest = machine.fill(process, start, 3800, 1);
  expect(rest).toBeUndefined();
  expect(machine.vm.swap.freePages).toBeLessThan(256);
  expect(machine.damaged(process, start, 3800, 1)).toEqual([]);
});

test("swapoff brings everything back", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const keeper = machine.spawn("keeper");
  const kept = machine.map(keeper, 1000);
  machine.fill(keeper, kept, 1000, 3);
  const { process } = swappedProcess(machine);
  machine.run(exitProcess(process));
  expect(mmOf(keeper).rss[Rss.swapEntries]).toBeGreaterThan(100);
  machine.run(swapoff(machine.vm, "/dev/sdb1"));
  expect([swapSpace(machine.vm).devices, machine.vm.swap.totalPages]).toEqual([[], 0]);
  expect([...mmOf(keeper).rss]).toEqual([0, 1000, 0, 0]);
  assertInvariants(machine.vm, [...vmInvariants, ...swapInvariants]);
  expect(machine.damaged(keeper, kept, 1000, 3)).toEqual([]);
  expect(outcome(() => machine.run(swapoff(machine.vm, "/dev/sdb1")))).toBe("EINVAL");
});

test("shared memory goes to swap, comes back, and is brought back by swapoff", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const process = machine.spawn("sharer");
  const start = machine.map(process, 1500, MapFlag.SHARED);
  machine.fill(process, start, 1500, 6);
  const { process: hog } = swappedProcess(machine);
  expect(machine.damaged(process, start, 500, 6)).toEqual([]);
  assertInvariants(machine.vm, [...vmInvariants, ...swapInvariants]);
  machine.run(exitProcess(hog));
  expect(machine.device?.used).toBeGreaterThan(100);
  machine.run(swapoff(machine.vm, "/dev/sdb1"));
  expect(machine.damaged(process, start, 1500, 6)).toEqual([]);
});

test("swapoff without room fails with ENOMEM, and swap stays in use", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const { process, start, pages } = swappedProcess(machine);
  expect(outcome(() => machine.run(swapoff(machine.vm, "/dev/sdb1")))).toBe("ENOMEM");
  expect(swapSpace(machine.vm).devices).toHaveLength(1);
  expect(process.killed).toBe(false);
  expect(machine.damaged(process, start, pages)).toEqual([]);
});

test("a cgroup that may have no more swap keeps its pages", () => {
  let allowed = 100;
  let returned = 0;
  const charging = {
    ...uncharged,
    tryChargeSwap: () => allowed-- > 0,
    unchargeSwap: (_device: number, _slot: number, pages: number) => void (returned += pages),
  };
  const machine = shortMachine({ swap: 16 * MiB, charging });
  const { process } = swappedProcess(machine);
  expect(process.killed).toBe(true);
  expect(machine.event("pswpout")).toBe(100);
  machine.run(exitProcess(process));
  expect(returned).toBe(100);
});

test("a priority that nobody asked for is given back: the devices behind it move up", () => {
  const { vm, run } = shortMachine();
  for (const path of ["/dev/a", "/dev/b"]) swapSpace(vm).swapon({ path, size: MiB });
  run(swapoff(vm, "/dev/a"));
  swapSpace(vm).swapon({ path: "/dev/c", size: MiB });
  expect(swapSpace(vm).devices.map(({ path, priority }) => [path, priority])).toEqual(
    expect.arrayContaining([
      ["/dev/b", -2],
      ["/dev/c", -3],
    ]),
  );
});
