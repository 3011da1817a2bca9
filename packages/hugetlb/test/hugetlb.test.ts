// Mappings of huge pages from the pool: faults, protection, fork and copies, pins, and what the files of a process say.
import { pinUserPagesFast, unpinUserPages } from "@hetmem/gup";
import { run, type VirtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  Madv,
  MapFlag,
  mlock,
  mprotect,
  mremap,
  munmap,
  type Process,
  Prot,
} from "@hetmem/mm";
import { madvise, mincore } from "@hetmem/madvise";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { clearRefs, ClearRefs, pagemap, PageMapBit } from "@hetmem/proc-pid";
import { read, RW, write } from "@hetmem/test-machines/files";
import {
  HUGE,
  hugeAt,
  hugetlbMachine,
  mapHuge,
  pool,
  PRIVATE_HUGE,
  SHARED_HUGE,
} from "@hetmem/test-machines/hugetlb-machine";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { errnoOf } from "@hetmem/test-machines/mappings";
import { expectAllSound, hugeAt as entryAt } from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";

/** The page that maps an address. */
function headAt(process: Process, address: VirtAddr): number {
  return entryAt(process, address) ?? 0;
}

/** The counts of everything, and that nothing is lost when all have gone. */
function expectGone(machine: VmMachine, processes: readonly Process[], pages: number): void {
  expectAllSound(machine);
  for (const process of processes) run(exitProcess(process));
  expectAllSound(machine);
  expect(pool(machine)).toEqual([pages, pages, 0, 0]);
}

test.each([
  ["private", PRIVATE_HUGE],
  ["shared", SHARED_HUGE],
])("the first touch of %s memory maps 2 MiB of zeros, whatever was in the page before", (_kind, flags) => {
  const machine = hugetlbMachine(1);
  const first = machine.spawn();
  write(first, mapHuge(first, 1) + HUGE - 8, "secret");
  run(exitProcess(first));
  const process = machine.spawn();
  const start = mapHuge(process, 1, flags);
  expect(read(process, start + HUGE - 8, 6)).toBe("\0".repeat(6));
  write(process, start, "mine");
  expect(read(process, start, 4)).toBe("mine");
  expect(machine.vm.memmap.test(headAt(process, start) as never, PageFlag.lru)).toBe(false);
  expect(mmOf(process).rssPages).toBe(0);
  expectGone(machine, [process], 1);
});

test("MAP_POPULATE has all pages there at once", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  mapHuge(process, 2, PRIVATE_HUGE | MapFlag.POPULATE);
  expect(pool(machine)).toEqual([2, 0, 0, 0]);
  expectGone(machine, [process], 2);
});

test("munmap, mprotect and madvise inside a huge page are EINVAL, and change nothing", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  const mm = mmOf(process);
  const start = mapHuge(process, 2);
  write(process, start, "a");
  const inside = (start + PAGE) as VirtAddr;
  expect(errnoOf(munmap(mm, inside, HUGE))).toBe("EINVAL");
  expect(errnoOf(munmap(mm, start, PAGE))).toBe("EINVAL");
  expect(errnoOf(mprotect(mm, inside, HUGE - PAGE, Prot.READ))).toBe("EINVAL");
  expect(errnoOf(madvise(mm, inside, HUGE, Madv.DONTNEED))).toBe("EINVAL");
  for (const advice of [Madv.FREE, Madv.COLD, Madv.PAGEOUT, Madv.COLLAPSE])
    expect(errnoOf(madvise(mm, start, HUGE, advice))).toBe("EINVAL");
  expect(read(process, start, 1)).toBe("a");
  expect(mm.vmas.count).toBe(1);
  run(munmap(mm, start, HUGE));
  expect(pool(machine)).toEqual([2, 2, 1, 0]);
  expectGone(machine, [process], 2);
});

test("a part of a mapping keeps its part of the promise", () => {
  const machine = hugetlbMachine(4);
  const process = machine.spawn();
  const start = mapHuge(process, 4);
  write(process, hugeAt(start, 1), "b");
  run(munmap(mmOf(process), hugeAt(start, 1), HUGE));
  expect(pool(machine)).toEqual([4, 4, 3, 0]);
  run(munmap(mmOf(process), hugeAt(start, 3), HUGE));
  expect(pool(machine)).toEqual([4, 4, 2, 0]);
  write(process, hugeAt(start, 2), "c");
  expect(pool(machine)).toEqual([4, 3, 1, 0]);
  expectGone(machine, [process], 4);
});

test("MADV_DONTNEED drops whole huge pages only, and what was promised there has been had", () => {
  const machine = hugetlbMachine(1);
  const process = machine.spawn();
  const start = mapHuge(process, 1);
  write(process, start, "a");
  run(madvise(mmOf(process), start, PAGE, Madv.DONTNEED));
  expect(read(process, start, 1)).toBe("a");
  run(madvise(mmOf(process), start, HUGE, Madv.DONTNEED));
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
  expect(read(process, start, 1)).toBe("\0");
  expectGone(machine, [process], 1);
});

test("a mapping made read-only and writable again is written without a copy", () => {
  const machine = hugetlbMachine(1);
  const process = machine.spawn();
  const start = mapHuge(process, 1);
  write(process, start, "a");
  const head = headAt(process, start);
  run(mprotect(mmOf(process), start, HUGE, Prot.READ));
  expect(() => write(process, start, "b")).toThrow("SIGSEGV");
  run(mprotect(mmOf(process), start, HUGE, RW));
  write(process, start, "c");
  expect(headAt(process, start)).toBe(head);
  expectGone(machine, [process], 1);
});

test("a page that a child has too can't be pinned for reading: the parent gets one of its own first", () => {
  const machine = hugetlbMachine(2);
  const parent = machine.spawn();
  const start = mapHuge(parent, 1);
  write(parent, start, "a");
  const child = run(forkProcess(parent));
  const pins = run(pinUserPages(mmOf(parent), start, 1, {}));
  expect(headAt(parent, start)).not.toBe(headAt(child, start));
  expect(pins).toEqual([headAt(parent, start)]);
  unpinUserPages(machine.vm, pins);
  expectGone(machine, [parent, child], 2);
});

test("a child reads what its parent wrote, and who writes first gets a copy", () => {
  const machine = hugetlbMachine(2);
  const parent = machine.spawn();
  const start = mapHuge(parent, 1);
  write(parent, start, "parent");
  const child = run(forkProcess(parent));
  expect(headAt(child, start)).toBe(headAt(parent, start));
  expect(mmOf(child).hugetlbPages).toBe(512);
  write(child, start + HUGE - 8, "child");
  expect(read(child, start, 6)).toBe("parent");
  expect(read(parent, start + HUGE - 8, 5)).toBe("\0".repeat(5));
  expect(headAt(child, start)).not.toBe(headAt(parent, start));
  // The parent has its page alone now.
  const head = headAt(parent, start);
  write(parent, start, "P");
  expect(headAt(parent, start)).toBe(head);
  expectGone(machine, [parent, child], 2);
});

test("a child that writes and finds no page gets SIGBUS, and its parent keeps what it was promised", () => {
  const machine = hugetlbMachine(2);
  const parent = machine.spawn();
  const start = mapHuge(parent, 2);
  write(parent, start, "a");
  const child = run(forkProcess(parent));
  expect(() => write(child, start, "b")).toThrow("SIGBUS");
  expect(() => write(child, hugeAt(start, 1), "b")).toThrow("SIGBUS");
  write(parent, hugeAt(start, 1), "c");
  expect(read(child, start, 1)).toBe("a");
  expectGone(machine, [parent, child], 2);
});

test("a parent that writes and finds no page takes it from its child, whose next touch is SIGBUS", () => {
  const machine = hugetlbMachine(1);
  const parent = machine.spawn();
  const start = mapHuge(parent, 1);
  write(parent, start, "old");
  const child = run(forkProcess(parent));
  write(parent, start, "new");
  expect(read(parent, start, 3)).toBe("new");
  expect(mmOf(child).hugetlbPages).toBe(0);
  expect(() => read(child, start, 1)).toThrow("SIGBUS");
  expect(machine.kernel.log.records.map(({ text }) => text)).toContain(
    `PID ${child.pid} killed due to inadequate hugepage pool`,
  );
  expectGone(machine, [parent, child], 1);
});

test("a shared mapping is one memory for parent and child, touched before the fork or after", () => {
  const machine = hugetlbMachine(2);
  const parent = machine.spawn();
  const start = mapHuge(parent, 2, SHARED_HUGE);
  write(parent, start, "before");
  const child = run(forkProcess(parent));
  expect(read(child, start, 6)).toBe("before");
  write(child, hugeAt(start, 1), "after");
  expect(read(parent, hugeAt(start, 1), 5)).toBe("after");
  expect(headAt(parent, start)).toBe(headAt(child, start));
  run(exitProcess(parent));
  expect(read(child, start, 6)).toBe("before");
  expectGone(machine, [child], 2);
});

test("mremap makes a mapping shorter, and nothing else", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  const mm = mmOf(process);
  const start = mapHuge(process, 2);
  const request = { address: start, oldLength: 2 * HUGE, flags: 1 };
  expect(errnoOf(mremap(mm, { ...request, newLength: 3 * HUGE }))).toBe("EINVAL");
  expect(errnoOf(mremap(mm, { ...request, address: (start + PAGE) as VirtAddr, newLength: HUGE }))).toBe(
    "EINVAL",
  );
  expect(run(mremap(mm, { ...request, newLength: PAGE }))).toBe(start);
  expect(mm.vmas.at(start)?.pages).toBe(512);
  expect(pool(machine)).toEqual([2, 2, 1, 0]);
  expectGone(machine, [process], 2);
});

test("mlock leaves huge pages of the pool as they are: they stay anyway", () => {
  const machine = hugetlbMachine(1);
  const process = machine.spawn();
  run(mlock(mmOf(process), mapHuge(process, 1), HUGE));
  expect(mmOf(process).lockedVm).toBe(0);
  expectGone(machine, [process], 1);
});

test("a pinned page stays its process's at fork: the child gets a copy, or there is no child", () => {
  const machine = hugetlbMachine(2);
  const parent = machine.spawn();
  const mm = mmOf(parent);
  const start = mapHuge(parent, 1);
  write(parent, start, "a");
  const pins = run(pinUserPages(mm, (start + PAGE) as VirtAddr, 2, { write: true, longterm: true }));
  expect(pins).toEqual([headAt(parent, start) + 1, headAt(parent, start) + 2]);
  const child = run(forkProcess(parent));
  expect(headAt(child, start)).not.toBe(headAt(parent, start));
  expect(read(child, start, 1)).toBe("a");
  expect(errnoOf(forkProcess(parent))).toBe("ENOMEM");
  unpinUserPages(machine.vm, pins);
  expectGone(machine, [parent, child], 2);
});

test("a page that is pinned when its process ends goes back to the pool with the pin", () => {
  const machine = hugetlbMachine(1);
  const process = machine.spawn();
  const into = new Int32Array(1);
  run(pinUserPagesFast(mmOf(process), mapHuge(process, 1, SHARED_HUGE), 1, { write: true }, into));
  run(exitProcess(process));
  expect(pool(machine)).toEqual([1, 0, 0, 0]);
  unpinUserPages(machine.vm, into);
  expectGone(machine, [], 1);
});

test("maps, smaps, numa_maps and status show huge pages of the pool apart", () => {
  const machine = hugetlbMachine(3);
  const process = machine.spawn();
  const start = mapHuge(process, 2);
  write(process, start, "a");
  const child = run(forkProcess(process));
  write(process, hugeAt(start, 1), "b");
  const file = (name: string) => machine.cat(`/proc/${process.pid}/${name}`);
  expect(file("maps").split("\n")[0]).toMatch(
    /^7[0-9a-f]+-7[0-9a-f]+ rw-p 00000000 00:0f 1 +\/anon_hugepage \(deleted\)$/,
  );
  const smaps = file("smaps");
  const kilobytes = (label: string) => Number(new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(smaps)?.[1]);
  expect(["Rss", "Pss", "Shared_Hugetlb", "Private_Hugetlb", "KernelPageSize"].map(kilobytes)).toEqual([
    0, 0, 2048, 2048, 2048,
  ]);
  expect(smaps).toMatch(/^VmFlags: rd wr mr mw me de ht sd $/m);
  expect(file("numa_maps")).toMatch(
    / file=\/anon_hugepage\\040\(deleted\) huge anon=2 dirty=2 mapmax=2 N0=2 kernelpagesize_kB=2048\n/,
  );
  expect(file("status")).toMatch(/^VmRSS:\t +0 kB$/m);
  expect(file("status")).toMatch(/^HugetlbPages:\t +4096 kB$/m);
  expectGone(machine, [process, child], 3);
});

test("pagemap and mincore show what is mapped, and clear_refs leaves it alone", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  const mm = mmOf(process);
  const start = mapHuge(process, 2);
  write(process, start, "a");
  run(clearRefs(mm, ClearRefs.softDirty));
  const [, second] = pagemap(mm, start, 2);
  const frame = BigInt(machine.vm.memmap.pageToPfn(headAt(process, start) as never)) + 1n;
  expect(second).toBe(PageMapBit.present | PageMapBit.exclusive | frame);
  expect(run(mincore(mm, (start + HUGE - PAGE) as VirtAddr, 2 * PAGE))).toEqual(Uint8Array.of(1, 0));
  expect(mm.pageTable.flags(mm.pageTable.findPmd(start)) & Pte.write).toBe(Pte.write);
  expectGone(machine, [process], 2);
});
