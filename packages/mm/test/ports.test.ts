// Machines without parts: a Vm that is given no pool of huge pages, no swap, no reclaim and so on.
import { KernelBug, MiB, nodeId, type Page, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { at, errnoOf, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import { bootRam, freePagesOf, nodesOf } from "@hetmem/test-machines/ram";
import { mmOf, spawnOn } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { readUser, writeUser } from "../src/process/access.ts";
import { exitProcess } from "../src/process/exit.ts";
import type { Process } from "../src/process/process.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { mmap } from "../src/vma/mmap.ts";
import { Prot } from "../src/vma/vm-flags.ts";
import { Vm } from "../src/vm.ts";

/** A machine of 4 MiB whose Vm has memory and nothing else. */
function bareMachine(): { readonly vm: Vm; readonly process: Process } {
  const { memory } = bootRam(nodesOf([4 * MiB]), { physicalBits: 40 });
  const vm = new Vm(memory);
  return { vm, process: spawnOn(vm) };
}

function touch(process: Process, address: VirtAddr): ReturnType<typeof writeUser> {
  return writeUser(process, address, Uint8Array.of(1));
}

/** The page of the first address of the region. */
function firstPage({ vm, process }: { readonly vm: Vm; readonly process: Process }): Page {
  mapPages(process, 0, 1);
  run(touch(process, at(0)));
  const { pageTable } = mmOf(process);
  const page = pageTable.value(pageTable.find(at(0))) as Page;
  expect(vm.memmap.test(page, PageFlag.lru)).toBe(true);
  return page;
}

test("a process reads and writes memory on a machine without parts", () => {
  const { process } = bareMachine();
  mapPages(process, 0, 4);
  expect(run(touch(process, at(3)))).toBeUndefined();
  const into = new Uint8Array(1);
  expect(run(readUser(process, at(3), into))).toBeUndefined();
  expect(into).toEqual(Uint8Array.of(1));
});

test.each([
  ["huge pages of a pool are ENOSYS", MapFlag.PRIVATE | MapFlag.HUGETLB, "ENOSYS"],
  ["shared anonymous memory is ENODEV", MapFlag.SHARED, "ENODEV"],
])("%s without the part for them", (_what, flags, errno) => {
  const { process } = bareMachine();
  const wanted = { length: 2 * MiB, prot: Prot.READ | Prot.WRITE, flags: flags | MapFlag.ANONYMOUS };
  expect(errnoOf(mmap(mmOf(process), wanted))).toBe(errno);
});

test("a collapse to huge pages is EINVAL without khugepaged, and says why", () => {
  const { vm, process } = bareMachine();
  mapPages(process, 0, 512);
  expect(() => vm.khugepaged.madviseCollapse(vmaAt(process, 0), at(0), at(512))).toThrow(
    /^EINVAL: .* can't get huge pages: the machine was made without khugepaged: give Vm khugepagedParts of @hetmem\/khugepaged$/,
  );
});

/** Runs a task for 100,000 steps at most. */
function runWithin<T>(task: Sleeps<T>): T {
  for (let steps = 0; steps < 100_000; steps++) {
    const step = task.next();
    if (step.done) return step.value;
  }
  throw new Error("the task doesn't end");
}

test("a process that wants more memory than there is is killed without reclaim", () => {
  const { process } = bareMachine();
  for (let first = 0; first < 2048; first += 512) mapPages(process, first, 512);
  let signal = runWithin(touch(process, at(0)));
  for (let i = 1; i < 2048 && signal === undefined; i++) signal = runWithin(touch(process, at(i)));
  expect(signal).toMatchObject({ signo: "SIGKILL" });
  expect(process.killed).toBe(true);
});

test("isolated pages go back to their lists without reclaim, and none is freed", () => {
  const machine = bareMachine();
  const { vm } = machine;
  const page = firstPage(machine);
  expect(vm.lru.isolate(page)).toBe(true);
  expect(run(vm.reclaim.reclaimPages([page]))).toBe(0);
  expect([vm.memmap.test(page, PageFlag.lru), vm.memmap.refcount(page)]).toEqual([true, 1]);
});

test("a page on another node stays there without NUMA balancing, and the fault's reference is dropped", () => {
  const machine = bareMachine();
  const { vm, process } = machine;
  const page = firstPage(machine);
  vm.memmap.getPage(page);
  expect(run(vm.promotion.migrateMisplacedPage(vmaAt(process, 0), page, nodeId(0)))).toBe(false);
  expect(vm.memmap.refcount(page)).toBe(1);
});

test("no page gets a slot or leaves a cache without swap, and an entry that names a slot is a bug", () => {
  const machine = bareMachine();
  const { swap } = machine.vm;
  const page = firstPage(machine);
  expect([swap.allocSlot(page), swap.freeSwap(page), swap.totalPages, swap.freePages]).toEqual([
    0,
    false,
    0,
    0,
  ]);
  expect(() => swap.freeSwapCache(page)).not.toThrow();
  expect(() => swap.duplicate(0, 1)).toThrow(KernelBug);
  expect(() => swap.free(0, 1)).toThrow(KernelBug);
});

test("no page belongs to a device on a machine without devices, and a fault on one is a bug", () => {
  const machine = bareMachine();
  const { devices } = machine.vm;
  const page = firstPage(machine);
  expect(devices.tryGetPagemap(page)).toBe(false);
  expect([devices.isPrivate(page), devices.isCoherent(page), devices.isFsdax(page)]).toEqual([
    false,
    false,
    false,
  ]);
  expect(devices.idleCount(page)).toBe(0);
  expect(() => devices.migrateToRam({} as never, page)).toThrow(KernelBug);
});

test("the end of a process gives all its memory back on a machine without parts", () => {
  const { memory } = bootRam(nodesOf([4 * MiB]), { physicalBits: 40 });
  const vm = new Vm(memory);
  const before = freePagesOf(memory);
  const process = spawnOn(vm);
  mapPages(process, 0, 64);
  for (let i = 0; i < 64; i++) run(touch(process, at(i)));
  expect(freePagesOf(memory)).toBeLessThan(before - 64);
  run(exitProcess(process));
  expect(freePagesOf(memory)).toBe(before);
});
