import { MiB, nodeId } from "@hetmem/kernel";
import { LruList, markPageAccessed, noteCost, workingsetEviction, workingsetRefault } from "@hetmem/mm/lru";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { fileRead } from "@hetmem/page-cache";
import { diskFile } from "@hetmem/test-machines/files";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE, NodeStat } from "@hetmem/zone";
import { expect, test } from "vitest";

const NODE = nodeId(0);

/** A page on no list, as a file or a process gets it. */
function newPage({ memory, vm }: ShortMachine, flags = 0) {
  const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE);
  if (page === NULL_PAGE) throw new Error("no page");
  vm.memmap.set(page, flags);
  return page;
}

/** The lists of the only node. */
function lruvec({ vm }: ShortMachine) {
  return vm.lru.lruvecOf(vm.zeroPage);
}

/** Puts so many pages on the active list of files. */
function activeFiles(machine: ShortMachine, pages: number): void {
  for (let i = 0; i < pages; i++) machine.vm.lru.add(newPage(machine, PageFlag.active));
}

test("a page that comes back before as many were evicted as are active is active at once", () => {
  const machine = shortMachine();
  const { vm } = machine;
  activeFiles(machine, 10);
  const gone = newPage(machine);
  const shadow = workingsetEviction(vm, gone, lruvec(machine));
  expect(shadow).toBeLessThan(0);
  for (let i = 0; i < 9; i++) workingsetEviction(vm, newPage(machine), lruvec(machine));
  const back = newPage(machine);
  workingsetRefault(vm, back, shadow);
  expect(vm.memmap.test(back, PageFlag.active)).toBe(true);
  expect([
    machine.stat(NodeStat.workingset_refault_file),
    machine.stat(NodeStat.workingset_activate_file),
  ]).toEqual([1, 1]);
});

test("a page that comes back later than that begins on the inactive list", () => {
  const machine = shortMachine();
  const { vm } = machine;
  activeFiles(machine, 10);
  const shadow = workingsetEviction(vm, newPage(machine), lruvec(machine));
  for (let i = 0; i < 10; i++) workingsetEviction(vm, newPage(machine), lruvec(machine));
  const back = newPage(machine);
  workingsetRefault(vm, back, shadow);
  expect(vm.memmap.test(back, PageFlag.active)).toBe(false);
  expect([
    machine.stat(NodeStat.workingset_refault_file),
    machine.stat(NodeStat.workingset_activate_file),
  ]).toEqual([1, 0]);
});

test("a page that was active before it went is restored, and its kind is the dearer to reclaim", () => {
  const machine = shortMachine();
  const { vm } = machine;
  activeFiles(machine, 10);
  const shadow = workingsetEviction(vm, newPage(machine, PageFlag.workingset), lruvec(machine));
  const back = newPage(machine);
  workingsetRefault(vm, back, shadow);
  expect(vm.memmap.test(back, PageFlag.workingset)).toBe(true);
  expect(machine.stat(NodeStat.workingset_restore_file)).toBe(1);
  expect([...lruvec(machine).cost]).toEqual([0, 1]);
});

test("with swap, anonymous pages compete with those of files for what may stay", () => {
  for (const [swap, active] of [
    [undefined, false],
    [MiB, true],
  ] as const) {
    const machine = shortMachine(swap === undefined ? {} : { swap });
    const { vm } = machine;
    for (let i = 0; i < 10; i++) vm.lru.add(newPage(machine, PageFlag.active | PageFlag.swapbacked));
    const shadow = workingsetEviction(vm, newPage(machine), lruvec(machine));
    for (let i = 0; i < 5; i++) workingsetEviction(vm, newPage(machine), lruvec(machine));
    const back = newPage(machine);
    workingsetRefault(vm, back, shadow);
    expect(vm.memmap.test(back, PageFlag.active)).toBe(active);
  }
});

test("costs fade once they are more than a quarter of the pages", () => {
  const machine = shortMachine();
  activeFiles(machine, 40);
  const at = lruvec(machine);
  noteCost(machine.vm, at, 1, 8);
  expect([...at.cost]).toEqual([0, 8]);
  noteCost(machine.vm, at, 0, 6);
  expect([...at.cost]).toEqual([3, 4]);
});

test("a page that is used twice is active, and one that is used once is not", () => {
  const machine = shortMachine();
  const { vm } = machine;
  const page = newPage(machine);
  vm.lru.add(page);
  markPageAccessed(vm, page);
  expect(vm.lru.listOf(page)).toBe(LruList.inactiveFile);
  markPageAccessed(vm, page);
  expect(vm.lru.listOf(page)).toBe(LruList.activeFile);
  expect(machine.event("pgactivate")).toBe(1);
  expect(lruvec(machine).nonresidentAge).toBe(1);
});

test("pages of a file that are read over and over are recognised when they come back", () => {
  const machine = shortMachine();
  const { file } = diskFile(machine.vm, 4200);
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < 4200; i++) machine.run(fileRead(file, i * PAGE, 1));
  expect(machine.stat(NodeStat.workingset_refault_file)).toBeGreaterThan(100);
});

test("swapped pages that come back are counted as anonymous refaults", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const process = machine.spawn();
  const start = machine.map(process, 4500);
  machine.fill(process, start, 4500);
  expect(machine.damaged(process, start, 4500)).toEqual([]);
  expect(machine.stat(NodeStat.workingset_refault_anon)).toBeGreaterThan(100);
});
