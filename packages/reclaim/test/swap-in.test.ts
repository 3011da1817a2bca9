import { MiB, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  FaultFlag,
  forkProcess,
  lockPage,
  type Process,
  Rss,
  unlockPage,
  userFault,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, Pte } from "@hetmem/page-table";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { mmOf, pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";

interface Entry {
  readonly value: number;
  readonly flags: number;
}

function entryAt(process: Process, address: VirtAddr): Entry {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  return { value: pageTable.value(entry), flags: pageTable.flags(entry) };
}

/** Has reclaim take a page that a process maps, whether or not it was used lately. */
function pageOut(machine: ShortMachine, process: Process, address: VirtAddr): void {
  const { vm } = machine;
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  const page = pageTable.value(entry) as Page;
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
  vm.memmap.clear(page, PageFlag.referenced);
  if (!vm.lru.isolate(page)) throw new Error(`page ${page} is on no list`);
  machine.run(vm.reclaim.reclaimPages([page]));
}

/** A process with one page that has been written and swapped out. */
function swappedPage(machine: ShortMachine) {
  const process = machine.spawn();
  const start = machine.map(process, 4);
  machine.fill(process, start, 1);
  pageOut(machine, process, start);
  return { process, start };
}

function touch(machine: ShortMachine, process: Process, address: VirtAddr, write: boolean): void {
  machine.run(userFault(process, address, write ? FaultFlag.WRITE : 0));
}

test("a swapped page is an entry that names its slot, marked exclusive, and counted as such", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedPage(machine);
  const { value, flags } = entryAt(process, start);
  expect([entryKind(flags), value, flags & Pte.exclusive]).toEqual([EntryKind.swap, 1, Pte.exclusive]);
  expect([...mmOf(process).rss]).toEqual([0, 0, 1, 0]);
  expect(machine.vm.swap.count(0, 1)).toBe(1);
});

test("a read brings it back read-only, a major fault, and leaves it in the swap cache", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedPage(machine);
  touch(machine, process, start, false);
  const { value, flags } = entryAt(process, start);
  expect(flags & (Pte.present | Pte.write | Pte.dirty)).toBe(Pte.present);
  expect(machine.vm.memmap.test(value as Page, PageFlag.swapcache)).toBe(true);
  expect(machine.vm.memmap.test(value as Page, PageFlag.anonExclusive)).toBe(true);
  expect([machine.event("pgmajfault"), machine.event("pswpin")]).toEqual([1, 1]);
  expect([...mmOf(process).rss]).toEqual([0, 1, 0, 0]);
  expect(machine.damaged(process, start, 1)).toEqual([]);
});

test("a page that is clean in the swap cache is evicted again without being written", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedPage(machine);
  touch(machine, process, start, false);
  pageOut(machine, process, start);
  expect([...mmOf(process).rss]).toEqual([0, 0, 1, 0]);
  expect(machine.event("pswpout")).toBe(1);
  expect(machine.damaged(process, start, 1)).toEqual([]);
});

test("a write brings it back writable and gives its slot back", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedPage(machine);
  machine.fill(process, start, 1, 9);
  const { flags } = entryAt(process, start);
  expect(flags & (Pte.present | Pte.write | Pte.dirty)).toBe(Pte.present | Pte.write | Pte.dirty);
  expect(machine.device?.used).toBe(0);
  expect(machine.damaged(process, start, 1, 9)).toEqual([]);
});

test("a page that was changed after it came back is written again", () => {
  const machine = shortMachine({ swap: MiB });
  const { process, start } = swappedPage(machine);
  touch(machine, process, start, false);
  machine.fill(process, start, 1, 5);
  pageOut(machine, process, start);
  expect(machine.event("pswpout")).toBe(2);
  expect(machine.damaged(process, start, 1, 5)).toEqual([]);
});

test("parent and child name one slot, read one page, and part when one of them writes", () => {
  const machine = shortMachine({ swap: MiB });
  const { process: parent, start } = swappedPage(machine);
  const child = machine.run(forkProcess(parent));
  expect(machine.vm.swap.count(0, 1)).toBe(2);
  expect(entryAt(parent, start).flags & Pte.exclusive).toBe(0);
  touch(machine, child, start, false);
  touch(machine, parent, start, false);
  expect(entryAt(parent, start).value).toBe(entryAt(child, start).value);
  expect(machine.event("pgmajfault")).toBe(1);
  machine.fill(child, start, 1, 4);
  expect(machine.damaged(parent, start, 1, 0)).toEqual([]);
  expect(machine.damaged(child, start, 1, 4)).toEqual([]);
});

test("a page that a child has read from swap first is found in its parent too", () => {
  const machine = shortMachine({ swap: MiB });
  const { process: parent, start } = swappedPage(machine);
  const child = machine.run(forkProcess(parent));
  touch(machine, child, start, false);
  touch(machine, parent, start, false);
  const { pageTable } = mmOf(parent);
  pageTable.setFlags(pageTable.find(start), pageTable.flags(pageTable.find(start)) & ~Pte.accessed);
  pageOut(machine, child, start);
  expect(entryKind(entryAt(parent, start).flags)).toBe(EntryKind.swap);
  expect(entryKind(entryAt(child, start).flags)).toBe(EntryKind.swap);
  expect(machine.vm.swap.count(0, 1)).toBe(2);
});

test("a page that is still in memory on its way out comes back without being read", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm } = machine;
  const process = machine.spawn();
  const start = machine.map(process, 1);
  machine.fill(process, start, 1);
  const page = entryAt(process, start).value as Page;
  // Somebody looks at it, so that reclaim can write it out but not free it.
  vm.memmap.getPage(page);
  pageOut(machine, process, start);
  expect(entryKind(entryAt(process, start).flags)).toBe(EntryKind.swap);
  expect(machine.damaged(process, start, 1)).toEqual([]);
  expect(entryAt(process, start).value).toBe(page);
  expect([machine.event("pswpin"), machine.event("pgmajfault")]).toEqual([0, 0]);
  vm.memmap.putPage(page);
});

test("whoever finds a swapped page locked looks at the entry again when he has the lock", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm } = machine;
  const { process, start } = swappedPage(machine);
  touch(machine, process, start, false);
  const page = entryAt(process, start).value as Page;
  pageOutKeeping(machine, process, start, page);
  machine.run(lockPage(vm.memmap, page));
  const fault = userFault(process, start, FaultFlag.WRITE);
  const waits = firstWait(fault);
  expect(waits).toBe("page lock");
  unlockPage(vm.memmap, page);
  expect(machine.run(fault)).toBeUndefined();
  expect(mmOf(process).rss[Rss.anon]).toBe(1);
  vm.memmap.putPage(page);
});

test("each page of zeros comes back as zeros, and takes no room on the device", () => {
  const machine = shortMachine({ swap: MiB });
  const process = machine.spawn();
  const start = machine.map(process, 1);
  touch(machine, process, start, true);
  pageOut(machine, process, start);
  expect(machine.device?.bytes(1)).toBeUndefined();
  touch(machine, process, start, false);
  expect(machine.vm.memmap.contents.bytes(entryAt(process, start).value as Page)).toBeUndefined();
});

test("the slot of a swapped page goes with its mapping", () => {
  const machine = shortMachine({ swap: MiB });
  const process = machine.spawn();
  const start = machine.map(process, 8);
  machine.fill(process, start, 8);
  for (let i = 0; i < 8; i++) pageOut(machine, process, pageAt(start, i));
  expect(machine.device?.used).toBe(8);
  machine.run(exitProcess(process));
  expect(machine.device?.used).toBe(0);
});

/** Unmaps a page to swap while somebody holds it, so that it stays in the swap cache. */
function pageOutKeeping(machine: ShortMachine, process: Process, address: VirtAddr, page: Page): void {
  machine.vm.memmap.getPage(page);
  pageOut(machine, process, address);
}

function firstWait(task: Sleeps<unknown>): string {
  for (;;) {
    const step = task.next();
    if (step.done) return "nothing";
    if (!step.value.ready()) return step.value.why;
  }
}
