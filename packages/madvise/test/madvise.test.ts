import { MiB, type Page, type Pfn, run, virtAddr } from "@hetmem/kernel";
import { forkProcess, Madv, MapFlag, mlock, munmap, type Process, Prot, Rss, VmFlag } from "@hetmem/mm";
import { LruList } from "@hetmem/mm/lru";
import { watchCoverage } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { memfdCreate, truncate } from "@hetmem/page-cache";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { diskFile, map, read, readSignal, RW, write } from "@hetmem/test-machines/files";
import {
  at,
  BASE,
  entryFlags,
  errnoOf,
  expectSound,
  layout,
  mapPages,
  presentPages,
  vmaAt,
} from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { NodeStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import { markPageLazyfree } from "../src/free.ts";
import { madvise } from "../src/madvise.ts";

function advise(process: Process, first: number, pages: number, advice: number): string | undefined {
  return errnoOf(madvise(mmOf(process), at(first), pages * PAGE, advice));
}

function pageAt(process: Process, first: number): number {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(at(first)));
}

test("MADV_DONTNEED drops pages at once: private memory reads as zeros", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 3);
  for (let i = 0; i < 3; i++) write(process, at(i), "x");
  expect(advise(process, 1, 1, Madv.DONTNEED)).toBe(undefined);
  expect([read(process, at(0), 1), read(process, at(1), 1)]).toEqual(["x", "\0"]);
  expect(mmOf(process).rssPages).toBe(2);
  expect(layout(process)).toEqual(["0-3 rw-p"]);
  expectSound(vm);
});

test("MADV_DONTNEED of a file's mapping drops private copies, not what the file holds", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 1).file, 1, MapFlag.PRIVATE);
  write(process, address, "mine  ");
  run(madvise(mmOf(process), address, PAGE, Madv.DONTNEED));
  expect(read(process, address, 6)).toBe("page 0");
});

test("MADV_DONTNEED refuses locked memory, MADV_DONTNEED_LOCKED takes it", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  run(mlock(mmOf(process), at(0), PAGE));
  expect(advise(process, 0, 1, Madv.DONTNEED)).toBe("EINVAL");
  expect(advise(process, 0, 1, Madv.FREE)).toBe("EINVAL");
  expect(advise(process, 0, 1, Madv.COLD)).toBe("EINVAL");
  expect(advise(process, 0, 1, Madv.DONTNEED_LOCKED)).toBe(undefined);
  expect(mmOf(process).rssPages).toBe(0);
});

test("MADV_FREE leaves pages to reclaim, clean and among those of files, and a write takes one back", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2);
  write(process, at(0), "a");
  write(process, at(1), "b");
  const page = pageAt(process, 0) as never;
  expect(advise(process, 0, 2, Madv.FREE)).toBe(undefined);
  expect(event(vm, "pglazyfree")).toBe(2);
  expect(vm.memmap.test(page, PageFlag.swapbacked)).toBe(false);
  expect(vm.lru.listOf(page)).toBe(LruList.inactiveFile);
  expect(entryFlags(process, at(0)) & (Pte.dirty | Pte.accessed | Pte.write)).toBe(Pte.write);
  expect(read(process, at(0), 1)).toBe("a");
  write(process, at(0), "c");
  expect(entryFlags(process, at(0)) & Pte.dirty).toBe(Pte.dirty);
  expectSound(vm);
});

test.each([
  ["MADV_DONTNEED", Madv.DONTNEED],
  ["MADV_FREE", Madv.FREE],
])("%s tells mirrors before it changes entries, and keeps the peak of the resident set", (_name, advice) => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 4);
  for (let i = 0; i < 4; i++) write(process, at(i), "x");
  const coverage = watchCoverage(vm);
  const mm = mmOf(process);
  expect(advise(process, 0, 4, advice)).toBe(undefined);
  expect(coverage.findings).toEqual([]);
  expect(mm.notifiers?.describeActive()).toBe("none");
  expect(mm.hiwaterRss).toBe(4);
});

test("MADV_FREE leaves a dirty page to the other processes that map it", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  mapPages(parent, 0, 1);
  write(parent, at(0), "x");
  run(forkProcess(parent));
  const page = pageAt(parent, 0) as Page;
  vm.memmap.set(page, PageFlag.dirty);
  expect(advise(parent, 0, 1, Madv.FREE)).toBe(undefined);
  const kept = PageFlag.dirty | PageFlag.swapbacked;
  expect(vm.memmap.flags(page) & kept).toBe(kept);
});

test("an unevictable page is not made one that reclaim may drop", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 1);
  write(process, at(0), "x");
  const page = pageAt(process, 0) as Page;
  vm.memmap.set(page, PageFlag.unevictable);
  markPageLazyfree(vm, page);
  expect(vm.memmap.test(page, PageFlag.swapbacked)).toBe(true);
});

test("MADV_FREE is for anonymous memory", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 1).file, 1, MapFlag.PRIVATE);
  expect(errnoOf(madvise(mmOf(process), address, PAGE, Madv.FREE))).toBe("EINVAL");
});

test("MADV_POPULATE_WRITE gives each page, and MADV_POPULATE_READ the zero page", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 4);
  expect(advise(process, 0, 2, Madv.POPULATE_WRITE)).toBe(undefined);
  expect(advise(process, 2, 2, Madv.POPULATE_READ)).toBe(undefined);
  expect(presentPages(process, 4)).toBe(4);
  expect(mmOf(process).rssPages).toBe(2);
  mapPages(process, 8, 1, Prot.READ);
  expect(advise(process, 8, 1, Madv.POPULATE_WRITE)).toBe("EINVAL");
  expect(advise(process, 20, 1, Madv.POPULATE_READ)).toBe("ENOMEM");
  expectSound(vm);
});

test("MADV_POPULATE_READ behind the end of a file is EFAULT", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 1).file, 2, MapFlag.SHARED);
  expect(errnoOf(madvise(mmOf(process), address, 2 * PAGE, Madv.POPULATE_READ))).toBe("EFAULT");
});

test("MADV_COLD takes pages off the active list, but not those that others map", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2);
  write(process, at(0), "a");
  const shared = pageAt(process, 0) as never;
  run(forkProcess(process));
  write(process, at(1), "b");
  const own = pageAt(process, 1) as never;
  for (const page of [shared, own]) vm.lru.activate(page);
  expect(advise(process, 0, 2, Madv.COLD)).toBe(undefined);
  expect(vm.memmap.test(own, PageFlag.active)).toBe(false);
  expect(vm.memmap.test(shared, PageFlag.active)).toBe(true);
  expect(entryFlags(process, at(1)) & Pte.accessed).toBe(0);
  expect(nodeStat(vm, "nr_active_anon")).toBe(1);
});

test("MADV_PAGEOUT reclaims clean pages of a file now, and they are read again", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 4);
  const address = map(process, file, 4, MapFlag.SHARED);
  for (let i = 0; i < 4; i++) read(process, address + i * PAGE, 1);
  expect(mmOf(process).rssPages).toBe(4);
  run(madvise(mmOf(process), address, 4 * PAGE, Madv.PAGEOUT));
  expect(mmOf(process).rssPages).toBe(0);
  expect(vm.memory.nodes[0]?.stat[NodeStat.nr_isolated_file]).toBe(0);
  expect(read(process, address + 3 * PAGE, 6)).toBe("page 3");
  expectSound(vm);
});

test("MADV_REMOVE punches a hole for everybody who maps the file", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const file = memfdCreate(vm, "shared", 0);
  run(truncate(file.host, 3 * PAGE));
  const one = map(process, file, 3, MapFlag.SHARED);
  const two = map(process, file, 3, MapFlag.SHARED, Prot.READ);
  write(process, one + PAGE, "gone");
  write(process, one + 2 * PAGE, "kept");
  expect(read(process, two + PAGE, 4)).toBe("gone");
  run(madvise(mmOf(process), virtAddr(one + PAGE), PAGE, Madv.REMOVE));
  expect(read(process, two + PAGE, 4)).toBe("\0\0\0\0");
  expect(read(process, two + 2 * PAGE, 4)).toBe("kept");
  expectSound(vm);
});

test("MADV_REMOVE wants a shared mapping of a file that may be written", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 1);
  expect(advise(process, 0, 1, Madv.REMOVE)).toBe("EINVAL");
  const address = map(process, diskFile(vm, 1).file, 1, MapFlag.PRIVATE);
  expect(errnoOf(madvise(mmOf(process), address, PAGE, Madv.REMOVE))).toBe("EACCES");
});

test("a child gets nothing of MADV_DONTFORK memory, and zeros of MADV_WIPEONFORK memory", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3);
  for (let i = 0; i < 3; i++) write(process, at(i), `page ${i}`);
  expect(advise(process, 0, 1, Madv.DONTFORK)).toBe(undefined);
  expect(advise(process, 1, 1, Madv.WIPEONFORK)).toBe(undefined);
  const child = run(forkProcess(process));
  expect(readSignal(child, at(0))?.code).toBe("SEGV_MAPERR");
  expect(read(child, at(1), 6)).toBe("\0\0\0\0\0\0");
  expect(read(child, at(2), 6)).toBe("page 2");
});

for (const [advice, set, undo] of [
  ["SEQUENTIAL", VmFlag.SEQ_READ, "NORMAL"],
  ["RANDOM", VmFlag.RAND_READ, "NORMAL"],
  ["DONTFORK", VmFlag.DONTCOPY, "DOFORK"],
  ["WIPEONFORK", VmFlag.WIPEONFORK, "KEEPONFORK"],
  ["DONTDUMP", VmFlag.DONTDUMP, "DODUMP"],
  ["HUGEPAGE", VmFlag.HUGEPAGE, "NOHUGEPAGE"],
] as const) {
  test(`MADV_${advice} is kept with the mapping until MADV_${undo}`, () => {
    const process = vmMachine().spawn();
    mapPages(process, 0, 1);
    expect(advise(process, 0, 1, Madv[advice])).toBe(undefined);
    expect(vmaAt(process, 0).flags & set).toBe(set);
    expect(advise(process, 0, 1, Madv[undo])).toBe(undefined);
    expect(vmaAt(process, 0).flags & set).toBe(0);
  });
}

test("a hole is ENOMEM, and the mappings around it are advised all the same", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3);
  for (let i = 0; i < 3; i++) write(process, at(i), "x");
  run(munmap(mmOf(process), at(1), PAGE));
  expect(advise(process, 0, 3, Madv.DONTNEED)).toBe("ENOMEM");
  expect(mmOf(process).rssPages).toBe(0);
});

test("requests that make no sense are EINVAL, and too many mappings EAGAIN", () => {
  const process = vmMachine({ tunables: { maxMapCount: 1 } }).spawn();
  mapPages(process, 0, 3);
  expect(advise(process, 0, 1, 77)).toBe("EINVAL");
  expect(errnoOf(madvise(mmOf(process), virtAddr(BASE + 1), PAGE, Madv.NORMAL))).toBe("EINVAL");
  expect(advise(process, 50, 0, Madv.NORMAL)).toBe(undefined);
  expect(advise(process, 1, 1, Madv.RANDOM)).toBe("EAGAIN");
  const shared = map(process, undefined, 1, MapFlag.SHARED);
  expect(errnoOf(madvise(mmOf(process), shared, PAGE, Madv.WIPEONFORK))).toBe("EINVAL");
});

test("MADV_HWPOISON and MADV_SOFT_OFFLINE give the frames to whoever deals with bad memory", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2, RW);
  write(process, at(0), "x");
  expect(advise(process, 0, 1, Madv.HWPOISON)).toBe("EINVAL");
  const heard: [string, Pfn][] = [];
  vm.memoryErrors = {
    *hardOffline(frame) {
      heard.push(["hard", frame]);
    },
    *softOffline(frame) {
      heard.push(["soft", frame]);
    },
  };
  const frame = vm.memmap.pageToPfn(pageAt(process, 0) as never);
  run(madvise(mmOf(process), at(0), PAGE, Madv.HWPOISON));
  run(madvise(mmOf(process), at(0), PAGE, Madv.SOFT_OFFLINE));
  expect(heard).toEqual([
    ["hard", frame],
    ["soft", frame],
  ]);
  expect(vm.memmap.refcount(pageAt(process, 0) as never)).toBe(1);
});

test("MADV_PAGEOUT writes private memory to swap, and MADV_FREE frees what is there", () => {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
  const process = spawn();
  mapPages(process, 0, 4);
  for (let i = 0; i < 4; i++) write(process, at(i), `page ${i}`);
  expect(advise(process, 0, 4, Madv.PAGEOUT)).toBe(undefined);
  expect([mmOf(process).rssPages, mmOf(process).rss[Rss.swapEntries]]).toEqual([0, 4]);
  expect(read(process, at(3), 6)).toBe("page 3");
  expect(advise(process, 0, 3, Madv.FREE)).toBe(undefined);
  expect(mmOf(process).rss[Rss.swapEntries]).toBe(0);
  expect(read(process, at(0), 1)).toBe("\0");
  expectSound(vm);
});
