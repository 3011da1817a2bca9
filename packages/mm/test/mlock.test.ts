import { type Page, run } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { map, RW, write } from "@hetmem/test-machines/files";
import {
  at,
  entryFlags,
  errnoOf,
  expectSound,
  layout,
  mapPages,
  vmaAt,
} from "@hetmem/test-machines/mappings";
import { mmOf, ORDINARY, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { ZoneStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import { LruList } from "../src/lru/lru.ts";
import { exitProcess } from "../src/process/exit.ts";
import type { Process } from "../src/process/process.ts";
import type { Vm } from "../src/vm.ts";
import { MapFlag, Mcl, MLOCK_ONFAULT } from "../src/vma/map-flags.ts";
import { mlock, mlockall, munlock, munlockall } from "../src/vma/mlock.ts";
import { mmap } from "../src/vma/mmap.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot, VmFlag } from "../src/vma/vm-flags.ts";

function pageAt(process: Process, address: number): Page {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(address as never)) as Page;
}

function mlocked({ memory }: Vm): number {
  return memory.nodes.reduce((sum, node) => sum + (node?.sumZoneStat(ZoneStat.nr_mlock) ?? 0), 0);
}

test("locked pages are brought in, and lie where reclaim doesn't look", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 3);
  write(process, at(0), "x");
  run(mlock(mm, at(0), 3 * PAGE));
  expect([mm.rssPages, mm.lockedVm]).toEqual([3, 3]);
  for (let i = 0; i < 3; i++) expect(vm.lru.listOf(pageAt(process, at(i)))).toBe(LruList.unevictable);
  expect([mlocked(vm), nodeStat(vm, "nr_unevictable"), nodeStat(vm, "nr_inactive_anon")]).toEqual([3, 3, 0]);
  expect([event(vm, "unevictable_pgs_mlocked"), event(vm, "unevictable_pgs_culled")]).toEqual([3, 3]);
  expectSound(vm);
});

test("munlock() gives pages back to the lists, and divides the mapping", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 3);
  run(mlock(mm, at(0), 3 * PAGE));
  run(munlock(mm, at(1), PAGE));
  expect(layout(process)).toHaveLength(3);
  expect(mm.lockedVm).toBe(2);
  expect(vm.memmap.test(pageAt(process, at(1)), PageFlag.mlocked | PageFlag.unevictable)).toBe(false);
  expect([mlocked(vm), event(vm, "unevictable_pgs_munlocked"), event(vm, "unevictable_pgs_rescued")]).toEqual(
    [2, 1, 1],
  );
  run(munlock(mm, at(0), 3 * PAGE));
  expect(layout(process)).toHaveLength(1);
  expect(mlocked(vm)).toBe(0);
});

test("a page that two mappings lock is unlocked with the second", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const one = map(process, undefined, 1, MapFlag.SHARED);
  const file = mm.vmas.at(one)?.file;
  if (!file) throw new Error("shared memory has a file");
  const two = run(mmap(mm, { file, length: PAGE, prot: RW, flags: MapFlag.SHARED }));
  write(process, one, "x");
  write(process, two, "x");
  const page = pageAt(process, one);
  run(mlock(mm, one, PAGE));
  run(mlock(mm, two, PAGE));
  expect(mlocked(vm)).toBe(1);
  run(munlock(mm, one, PAGE));
  expect(vm.memmap.test(page, PageFlag.mlocked)).toBe(true);
  run(munlock(mm, two, PAGE));
  expect(vm.memmap.test(page, PageFlag.mlocked | PageFlag.unevictable)).toBe(false);
  expect(mlocked(vm)).toBe(0);
});

test("MLOCK_ONFAULT locks pages as they are touched", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 3);
  run(mlock(mm, at(0), 3 * PAGE, MLOCK_ONFAULT));
  expect([mm.rssPages, mm.lockedVm, mlocked(vm)]).toEqual([0, 3, 0]);
  write(process, at(1), "x");
  expect([mm.rssPages, mlocked(vm)]).toEqual([1, 1]);
});

test("unmapped and exited pages are no longer counted as locked", () => {
  const { vm, spawn, freePages } = vmMachine();
  const before = freePages();
  const process = spawn();
  mapPages(process, 0, 4);
  run(mlock(mmOf(process), at(0), 4 * PAGE));
  run(munmap(mmOf(process), at(0), 2 * PAGE));
  expect([mlocked(vm), mmOf(process).lockedVm]).toEqual([2, 2]);
  run(exitProcess(process));
  expect([mlocked(vm), nodeStat(vm, "nr_unevictable"), vm.mlockCounts.size]).toEqual([0, 0, 0]);
  expect(freePages()).toBe(before);
});

test("RLIMIT_MEMLOCK counts what is locked already only once", () => {
  const process = vmMachine({ rlimits: { memlock: 3 * PAGE } }).spawn();
  process.credentials = ORDINARY;
  const mm = mmOf(process);
  mapPages(process, 0, 4);
  run(mlock(mm, at(0), 2 * PAGE));
  expect(errnoOf(mlock(mm, at(1), 2 * PAGE))).toBe(undefined);
  expect(mm.lockedVm).toBe(3);
  expect(errnoOf(mlock(mm, at(1), 3 * PAGE))).toBe("ENOMEM");
});

test("a process that may lock nothing gets EPERM", () => {
  const process = vmMachine({ rlimits: { memlock: 0 } }).spawn();
  process.credentials = ORDINARY;
  mapPages(process, 0, 1);
  expect(errnoOf(mlock(mmOf(process), at(0), PAGE))).toBe("EPERM");
  expect(errnoOf(mlockall(mmOf(process), Mcl.CURRENT))).toBe("EPERM");
  const request = { length: PAGE, prot: RW, flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.LOCKED };
  expect(errnoOf(mmap(mmOf(process), request))).toBe("EPERM");
});

test("holes and memory that can't be reached are ENOMEM, and what comes before is locked", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 1);
  mapPages(process, 2, 1, Prot.NONE);
  expect(errnoOf(mlock(mm, at(0), 3 * PAGE))).toBe("ENOMEM");
  expect(mm.lockedVm).toBe(1);
  expect(errnoOf(mlock(mm, at(2), PAGE))).toBe("ENOMEM");
  expect(errnoOf(mlock(mm, at(0), PAGE, 8))).toBe("EINVAL");
});

test("MAP_LOCKED memory is there at once, and refused beyond the limit", () => {
  const process = vmMachine({ rlimits: { memlock: 2 * PAGE } }).spawn();
  process.credentials = ORDINARY;
  mapPages(process, 0, 2, RW, MapFlag.LOCKED);
  expect(mmOf(process).rssPages).toBe(2);
  const request = { length: PAGE, prot: RW, flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.LOCKED };
  expect(errnoOf(mmap(mmOf(process), request))).toBe("EAGAIN");
});

test("mlockall() locks what is mapped, what will be, or both", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 2);
  run(mlockall(mm, Mcl.FUTURE));
  expect([mm.lockedVm, mm.rssPages]).toEqual([0, 0]);
  mapPages(process, 4, 2);
  expect([mm.lockedVm, mm.rssPages]).toEqual([2, 2]);
  run(mlockall(mm, Mcl.CURRENT));
  expect([mm.lockedVm, mm.rssPages, mlocked(vm)]).toEqual([4, 4, 4]);
  mapPages(process, 8, 1);
  expect(mm.lockedVm).toBe(4);
  run(munlockall(mm));
  expect([mm.lockedVm, mlocked(vm)]).toEqual([0, 0]);
  expect(errnoOf(mlockall(mm, 0))).toBe("EINVAL");
  expect(errnoOf(mlockall(mm, Mcl.ONFAULT))).toBe("EINVAL");
});

test("a device's mapping isn't locked", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  vmaAt(process, 0).flags |= VmFlag.PFNMAP;
  run(mlock(mmOf(process), at(0), PAGE));
  expect(mmOf(process).lockedVm).toBe(0);
});

test("locked private memory that becomes writable is copied at once", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 2, Prot.READ);
  run(mlock(mm, at(0), 2 * PAGE));
  expect(mm.rssPages).toBe(0);
  run(mprotect(mm, at(0), 2 * PAGE, RW));
  expect(mm.rssPages).toBe(2);
  expect(entryFlags(process, at(1))).not.toBe(0);
});
