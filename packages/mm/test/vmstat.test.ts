// The counters of /proc/vmstat, each with the very thing that the kernel counts: all that changes is named.
import { MiB, nodeId, run } from "@hetmem/kernel";
import { movePages } from "@hetmem/migrate";
import { dropPagecache, fileRead, fileWrite, fsyncRange, memfdCreate, truncate } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { changedCounters } from "@hetmem/test-machines/counters";
import { diskFile, map, read, write } from "@hetmem/test-machines/files";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { NodeStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { madvise } from "@hetmem/madvise";
import { Madv, MapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";

/** A page is a few sectors, and disks count those. */
const SECTORS = 8;

/** A process with 16 pages of memory, the first `written` of which it has written, on a machine with swap. */
function withMemory(written: number) {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: 4 * MiB });
  const process = spawn();
  const at = map(process, undefined, 16, MapFlag.PRIVATE);
  for (let i = 0; i < written; i++) write(process, at + i * PAGE, "a");
  return {
    vm,
    process,
    at,
    changes: (body: () => unknown) => changedCounters(vm, body),
    advise: (pages: number, advice: number) => run(madvise(mmOf(process), at, pages * PAGE, advice)),
  };
}

/** So many pages on the inactive anonymous list. */
function inactiveAnon(pages: number) {
  return { nr_inactive_anon: pages, nr_zone_inactive_anon: pages };
}

function inactiveFile(pages: number) {
  return { nr_inactive_file: pages, nr_zone_inactive_file: pages };
}

test("a read of untouched memory is a fault and its tables, and the page of zeros counts nowhere", () => {
  const { changes, process, at } = withMemory(0);
  expect(changes(() => read(process, at, 1))).toEqual({ pgfault: 1, nr_page_table_pages: 3 });
});

test("a first write is a fault and an inactive anonymous page, and the next one nothing", () => {
  const { changes, process, at } = withMemory(1);
  const second = at + PAGE;
  expect(changes(() => write(process, second, "b"))).toEqual({
    pgfault: 1,
    nr_anon_pages: 1,
    ...inactiveAnon(1),
  });
  expect(changes(() => write(process, second, "c"))).toEqual({});
});

test("fork counts tables and a stack; the first who writes makes a page, the second takes the old one as his", () => {
  const { changes, process, at } = withMemory(1);
  let child = process;
  expect(changes(() => (child = run(forkProcess(process))))).toEqual({
    nr_kernel_stack: 16,
    nr_page_table_pages: 4,
  });
  expect(changes(() => write(process, at, "b"))).toEqual({
    pgfault: 1,
    nr_anon_pages: 1,
    ...inactiveAnon(1),
  });
  expect(changes(() => write(child, at, "c"))).toEqual({ pgfault: 1, pgreuse: 1 });
  expect(changes(() => run(exitProcess(child)))).toEqual({
    nr_kernel_stack: -16,
    nr_page_table_pages: -4,
    nr_anon_pages: -1,
    ...inactiveAnon(-1),
  });
});

test("a page that MADV_PAGEOUT swaps is written, and nobody has scanned for it", () => {
  const { changes, advise } = withMemory(4);
  expect(changes(() => advise(4, Madv.PAGEOUT))).toEqual({
    pswpout: 4,
    pgpgout: 4 * SECTORS,
    nr_vmscan_write: 4,
    nr_written: 4,
    nr_anon_pages: -4,
    ...inactiveAnon(-4),
  });
});

test("a read from swap is a major fault and a refault, and leaves a page in the swap cache, which a write doesn't", () => {
  const { advise, changes, process, at } = withMemory(4);
  advise(4, Madv.PAGEOUT);
  const swappedIn = {
    pgfault: 1,
    pgmajfault: 1,
    pswpin: 1,
    pgpgin: SECTORS,
    workingset_refault_anon: 1,
    nr_anon_pages: 1,
    ...inactiveAnon(1),
  };
  expect(changes(() => read(process, at, 1))).toEqual({ ...swappedIn, nr_swapcached: 1, nr_file_pages: 1 });
  expect(changes(() => write(process, at, "b"))).toEqual({ pgfault: 1, pgreuse: 1 });
  expect(changes(() => write(process, at + PAGE, "b"))).toEqual(swappedIn);
});

test("a page that is to be freed lazily is one of a file until it is freed", () => {
  const { advise, changes } = withMemory(1);
  expect(changes(() => advise(1, Madv.FREE))).toEqual({
    pglazyfree: 1,
    ...inactiveAnon(-1),
    ...inactiveFile(1),
  });
  expect(changes(() => advise(1, Madv.PAGEOUT))).toEqual({
    pglazyfreed: 1,
    nr_anon_pages: -1,
    ...inactiveFile(-1),
  });
});

test("mlock faults in what isn't there and culls all of it, munlock rescues it", () => {
  const { changes, process, at } = withMemory(1);
  const { mm } = process;
  expect(changes(() => mm && run(mlock(mm, at, 2 * PAGE)))).toEqual({
    pgfault: 1,
    nr_anon_pages: 1,
    nr_mlock: 2,
    nr_unevictable: 2,
    nr_zone_unevictable: 2,
    unevictable_pgs_culled: 2,
    unevictable_pgs_mlocked: 2,
    ...inactiveAnon(-1),
  });
  expect(changes(() => mm && run(munlock(mm, at, 2 * PAGE)))).toEqual({
    nr_mlock: -2,
    nr_unevictable: -2,
    nr_zone_unevictable: -2,
    unevictable_pgs_munlocked: 2,
    unevictable_pgs_rescued: 2,
    ...inactiveAnon(2),
  });
});

test("a page that moves is counted by its new node, and as migrated", () => {
  const { changes, process, at, vm } = withMemory(1);
  const anonymous = (): unknown[] =>
    vm.memory.nodes.map((node) => [
      node?.stat[NodeStat.nr_anon_pages],
      node?.stat[NodeStat.nr_inactive_anon],
    ]);
  expect(changes(() => run(movePages(process, [at], [nodeId(1)], [], 0)))).toEqual({ pgmigrate_success: 1 });
  expect(anonymous()).toEqual([
    [0, 0],
    [1, 1],
  ]);
});

test("a fault on a file that isn't in memory is major, and its neighbours are mapped without faults of their own", () => {
  const { changes, process, vm } = withMemory(1);
  const { file } = diskFile(vm, 64);
  const at = map(process, file, 64, MapFlag.SHARED);
  const first = changes(() => read(process, at, 1));
  expect(first).toMatchObject({
    pgfault: 1,
    pgmajfault: 1,
    pgpgin: 16 * SECTORS,
    nr_file_pages: 16,
    nr_mapped: 1,
  });
  expect(changes(() => read(process, at + PAGE, 1))).toEqual({ pgfault: 1, nr_mapped: 15 });
  expect(changes(() => read(process, at + 2 * PAGE, 1))).toEqual({});
});

test("a store to a shared mapping of a file makes its page dirty once, until fsync has written it", () => {
  const { changes, process, vm } = withMemory(1);
  const { file, inode } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.SHARED);
  read(process, at, 1);
  expect(changes(() => write(process, at, "x"))).toEqual({
    pgfault: 1,
    pgreuse: 1,
    nr_dirty: 1,
    nr_dirtied: 1,
    nr_zone_write_pending: 1,
  });
  expect(changes(() => write(process, at, "y"))).toEqual({});
  expect(changes(() => run(fsyncRange(inode.mapping)))).toEqual({
    pgpgout: SECTORS,
    nr_dirty: -1,
    nr_written: 1,
    nr_zone_write_pending: -1,
  });
});

test("a page of a file that is read twice is activated once, and one that is written again isn't", () => {
  const { changes, vm } = withMemory(1);
  const { file } = diskFile(vm, 2);
  run(fileRead(file, 0, PAGE));
  run(fileRead(file, PAGE, PAGE));
  const active = { nr_active_file: 1, nr_zone_active_file: 1, ...inactiveFile(-1) };
  expect(changes(() => run(fileRead(file, 0, PAGE)))).toEqual({ pgactivate: 1, ...active });
  const whole = new Uint8Array(PAGE);
  expect(changes(() => run(fileWrite(file, PAGE, whole)))).toEqual({
    nr_dirty: 1,
    nr_dirtied: 1,
    nr_zone_write_pending: 1,
  });
  expect(changes(() => run(fileWrite(file, PAGE, whole)))).toEqual({});
});

test("drop_caches takes what is clean and not mapped, and is counted itself", () => {
  const { changes, process, vm } = withMemory(1);
  const { file } = diskFile(vm, 4);
  run(fileRead(file, 0, 4 * PAGE));
  read(process, map(process, file, 1, MapFlag.SHARED), 1);
  run(fileWrite(file, PAGE, new Uint8Array(PAGE)));
  expect(changes(() => run(dropPagecache(vm)))).toEqual({
    drop_pagecache: 1,
    nr_file_pages: -2,
    ...inactiveFile(-2),
  });
});

test("shared memory is anonymous on its lists, mapped as a file, and swapped only where it was written", () => {
  const { changes, process, vm } = withMemory(1);
  const memfd = memfdCreate(vm, "shared", 0);
  run(truncate(memfd.host, 2 * PAGE));
  const at = map(process, memfd, 2, MapFlag.SHARED);
  const page = { nr_shmem: 1, nr_file_pages: 1, nr_mapped: 1 };
  expect(changes(() => read(process, at, 1))).toMatchObject({ pgfault: 1, ...page, ...inactiveAnon(1) });
  expect(changes(() => write(process, at + PAGE, "z"))).toEqual({ pgfault: 1, ...page, ...inactiveAnon(1) });
  expect(changes(() => run(madvise(mmOf(process), at, 2 * PAGE, Madv.PAGEOUT)))).toEqual({
    pswpout: 1,
    pgpgout: SECTORS,
    nr_vmscan_write: 1,
    nr_written: 1,
    nr_shmem: -2,
    nr_file_pages: -2,
    nr_mapped: -2,
    ...inactiveAnon(-2),
  });
  expect(changes(() => read(process, at + PAGE, 1))).toMatchObject({
    pgfault: 1,
    pgmajfault: 1,
    pswpin: 1,
    pgpgin: SECTORS,
    workingset_refault_anon: 1,
    ...page,
  });
});

test("shared memory that finds no room in swap is not counted as written by reclaim", () => {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: 10 * PAGE });
  const process = spawn();
  const memfd = memfdCreate(vm, "shared", 0);
  run(truncate(memfd.host, 20 * PAGE));
  const at = map(process, memfd, 20, MapFlag.SHARED);
  for (let i = 0; i < 20; i++) write(process, at + i * PAGE, "z");
  const changed = changedCounters(vm, () => run(madvise(mmOf(process), at, 20 * PAGE, Madv.PAGEOUT)));
  expect(changed).toMatchObject({ pswpout: 9, nr_vmscan_write: 9, nr_shmem: -9, pgactivate: 11 });
});
