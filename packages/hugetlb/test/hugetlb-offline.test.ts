// Memory that goes offline while huge pages of the pool lie in it.
import { MiB, nodeId, run } from "@hetmem/kernel";
import { write } from "@hetmem/test-machines/files";
import { hotplugVmMachine, type HotplugVmMachine, refusal } from "@hetmem/test-machines/hotplug-vm-machine";
import { HUGE, mapHuge } from "@hetmem/test-machines/hugetlb-machine";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect, test } from "vitest";
import { hugetlbPool } from "../src/hugetlb-pool.ts";

const N1 = nodeId(1);

/** A machine whose pool has so many pages, all of them in one block of node 1. */
function machineWithPool(pages: number): { machine: HotplugVmMachine; block: number } {
  const machine = hotplugVmMachine({
    nodes: [
      { size: 64 * MiB, cpus: [0] },
      { size: 0, cpus: [] },
    ],
  });
  const block = machine.plug(0, N1, "online_kernel");
  run(hugetlbPool(machine.vm).resize(pages, N1));
  return { machine, block };
}

/** total, free, reserved, and the pages that the administrator is said to want */
function pool({ vm }: HotplugVmMachine): number[] {
  const { total, free, reserved } = hugetlbPool(vm).counts;
  return [total, free, reserved, hugetlbPool(vm).wanted];
}

test("free huge pages of the pool dissolve when their block goes offline, and the pool is smaller", () => {
  const { machine, block } = machineWithPool(10);
  run(hugetlbPool(machine.vm).resize(3, nodeId(0)));
  expect(pool(machine)).toEqual([13, 13, 0, 13]);
  machine.offline(block);
  expect(pool(machine)).toEqual([3, 3, 0, 3]);
  expect(hugetlbPool(machine.vm).nodeCounts(N1)).toEqual({ total: 0, free: 0, surplus: 0 });
});

test("promised huge pages are EBUSY; those that weren't promised have dissolved by then", () => {
  const { machine, block } = machineWithPool(10);
  mapHuge(machine.spawn(), 4);
  expect(refusal(machine, block)).toMatch(/^EBUSY: .*huge page 0x\w+ of the pool is free, .* promised/);
  expect(pool(machine)).toEqual([4, 4, 4, 4]);
  expect(machine.hotplug.block(block).state).toBe("online");
});

test("a huge page in use is EBUSY, and the pool keeps all it has", () => {
  const { machine, block } = machineWithPool(10);
  const process = machine.spawn();
  write(process, mapHuge(process, 1), "x");
  expect(refusal(machine, block)).toMatch(/^EBUSY: /);
  expect(pool(machine)).toEqual([10, 9, 0, 10]);
});

test("huge pages of the pool stay when something else keeps the block online", () => {
  const { machine, block } = machineWithPool(10);
  const { allocator, memmap } = machine.memory;
  // Of a driver that won't let go of it: it could move, and doesn't.
  const page = allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, N1);
  memmap.setMapping(page, 1);
  expect(machine.inBlock(block, page)).toBe(true);
  expect(refusal(machine, block)).toMatch(/^EBUSY: .* stays in use/);
  expect(pool(machine)).toEqual([10, 10, 0, 10]);
});

test("the memory of dissolved huge pages comes back with the block", () => {
  const { machine, block } = machineWithPool(10);
  const before = machine.freePages() + (10 * HUGE) / 4096;
  machine.offline(block);
  run(machine.onlineTask(block));
  expect(machine.freePages()).toBe(before);
});

test("a huge page that begins where the range ends stays in the pool", () => {
  const { machine } = machineWithPool(3);
  const { memmap } = machine.memory;
  const frames = hugetlbPool(machine.vm)
    .freePages()
    .map((page) => memmap.pageToPfn(page))
    .toSorted((a, b) => a - b);
  const [first, second] = frames;
  if (first === undefined || second === undefined) throw new Error("the pool is smaller than it should be");
  hugetlbPool(machine.vm).dissolveFree(first, second);
  expect(pool(machine)).toEqual([2, 2, 0, 2]);
});
