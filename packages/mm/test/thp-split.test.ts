import { unpinUserPages } from "@hetmem/gup";
import { MiB, nodeId, type Page, run, type VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { read, write } from "@hetmem/test-machines/files";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { at, entryFlags, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import {
  differing,
  expectAllSound,
  fill,
  hugeAt,
  hugeMachine,
  PARTS,
  smallAt,
  wholeMappings,
  writtenHugePage,
} from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { deferredSplitScan, shrinkDeferredSplits } from "../src/huge/deferred-split-scan.ts";
import { splitHugePage } from "../src/huge/split-page.ts";
import { splitHugePmd } from "../src/huge/split-pmd.ts";
import { trylockPage, unlockPage } from "../src/page-lock.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { madvise } from "@hetmem/madvise";
import { Madv, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";
import { mremap } from "../src/vma/mremap.ts";
import { munmap } from "../src/vma/munmap.ts";

const HUGE = PARTS * PAGE;

/** Divides a huge page as somebody who comes from outside: with a reference and the lock. */
function splitFromOutside({ vm }: VmMachine, head: Page): boolean {
  vm.memmap.getPage(head);
  expect(trylockPage(vm.memmap, head)).toBe(true);
  const split = run(splitHugePage(vm, head));
  unlockPage(vm.memmap, head);
  vm.pages.put(head);
  return split;
}

test("an entry that is divided leaves 512 that map the same pages, and the page is one still", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  const tables = nodeStat(vm, "nr_page_table_pages");
  run(splitHugePmd(vmaAt(process, 0), at(300)));
  expect(hugeAt(process, at(0))).toBeUndefined();
  expect([0, 300, 511].map((page) => smallAt(process, at(page)))).toEqual([head, head + 300, head + 511]);
  expect([vm.memmap.refcount(head), wholeMappings(machine, head), vm.memmap.compoundOrder(head)]).toEqual([
    512, 0, 9,
  ]);
  expect(vm.memmap.mapcount((head + 7) as Page)).toBe(1);
  expect([nodeStat(vm, "nr_anon_pages"), nodeStat(vm, "nr_anon_transparent_hugepages")]).toEqual([512, 0]);
  expect(nodeStat(vm, "nr_page_table_pages")).toBe(tables);
  expect(event(vm, "thp_split_pmd")).toBe(1);
  expectAllSound(machine);
  expect(differing(process, 0, PARTS, "part")).toEqual([]);
});

test("small entries of a divided one allow what it allowed, and their pages know that they are dirty", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "part");
  run(splitHugePmd(vmaAt(process, 0), at(0)));
  const { memmap } = machine.vm;
  expect(entryFlags(process, at(9))).toBe(Pte.present | Pte.accessed | Pte.softDirty | Pte.write);
  expect(memmap.test(head, PageFlag.dirty)).toBe(true);
  expect(memmap.test((head + 9) as Page, PageFlag.anonExclusive)).toBe(true);
  const reused = event(machine.vm, "pgreuse");
  write(process, at(9), "again");
  expect(smallAt(process, at(9))).toBe(head + 9);
  expect(event(machine.vm, "pgreuse")).toBe(reused);
});

test("a huge page that is divided is 512 small pages with what was written in them", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  expect(splitFromOutside(machine, head)).toBe(true);
  for (const part of [0, 1, 255, 511].map((i) => (head + i) as Page)) {
    expect(vm.memmap.test(part, PageFlag.head | PageFlag.tail | PageFlag.locked)).toBe(false);
    expect([vm.memmap.refcount(part), vm.memmap.mapcount(part)]).toEqual([1, 1]);
    expect(vm.memmap.test(part, PageFlag.lru)).toBe(true);
    expect(vm.memmap.test(part, PageFlag.anonExclusive)).toBe(true);
  }
  expect(nodeStat(vm, "nr_anon_pages")).toBe(512);
  expect(nodeStat(vm, "nr_inactive_anon")).toBe(512);
  expect([event(vm, "thp_split_page"), event(vm, "thp_split_page_failed")]).toEqual([1, 0]);
  expect(differing(process, 0, PARTS, "part")).toEqual([]);
  expectAllSound(machine);
});

test("the parts of a divided huge page are freed one by one", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "part");
  splitFromOutside(machine, head);
  const before = machine.freePages();
  run(madvise(mmOf(process), at(0), 100 * PAGE, Madv.DONTNEED));
  expect(machine.freePages() - before).toBe(100);
  expectAllSound(machine);
});

test("a huge page that somebody has pinned isn't divided, and stays as it is mapped", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  const pins = run(pinUserPages(mmOf(process), at(3), 1, { write: true }));
  expect(splitFromOutside(machine, head)).toBe(false);
  expect(hugeAt(process, at(0))).toBe(head);
  expect(event(vm, "thp_split_page_failed")).toBe(1);
  unpinUserPages(vm, pins);
  expect(splitFromOutside(machine, head)).toBe(true);
  expectAllSound(machine);
});

test("an isolated huge page that is divided leaves isolated parts, each with a reference of who isolated it", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  expect(vm.lru.isolate(head)).toBe(true);
  trylockPage(vm.memmap, head);
  expect(run(splitHugePage(vm, head))).toBe(true);
  unlockPage(vm.memmap, head);
  expect([nodeStat(vm, "nr_isolated_anon"), nodeStat(vm, "nr_inactive_anon")]).toEqual([512, 0]);
  for (let i = 0; i < PARTS; i++) {
    expect(vm.memmap.refcount((head + i) as Page)).toBe(2);
    vm.lru.putback((head + i) as Page);
  }
  expect([nodeStat(vm, "nr_isolated_anon"), nodeStat(vm, "nr_inactive_anon")]).toEqual([0, 512]);
  expect(differing(process, 0, PARTS, "part")).toEqual([]);
  expectAllSound(machine);
});

test("a part that is unmapped is lost to everybody until memory is short: then the page is divided", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  const before = machine.freePages();
  run(munmap(mmOf(process), at(100), 50 * PAGE));
  expect(machine.freePages()).toBe(before);
  expect([nodeStat(vm, "nr_anon_pages"), mmOf(process).rssPages]).toEqual([462, 462]);
  expect(event(vm, "thp_deferred_split_page")).toBe(1);
  expectAllSound(machine);
  expect(run(deferredSplitScan(vm, nodeId(0), 10))).toBe(1);
  expect(machine.freePages() - before).toBe(50);
  expect(vm.memmap.test(head, PageFlag.head)).toBe(false);
  expect([...differing(process, 0, 100, "part"), ...differing(process, 150, 362, "part")]).toEqual([]);
  expect([...vm.deferredSplits]).toEqual([]);
  expectAllSound(machine);
});

test("what DONTNEED drops of a huge page reads as zeros, and the rest as it was", () => {
  const machine = hugeMachine();
  const { process } = writtenHugePage(machine, "part");
  run(madvise(mmOf(process), at(10), 2 * PAGE, Madv.DONTNEED));
  expect(read(process, at(10), 4)).toBe("\0\0\0\0");
  expect([...differing(process, 0, 10, "part"), ...differing(process, 12, 500, "part")]).toEqual([]);
  expectAllSound(machine);
});

test("a huge page whose parts are all unmapped one after the other is freed whole", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const empty = machine.freePages();
  const { process } = writtenHugePage(machine, "part");
  for (let i = 0; i < PARTS; i += 64) run(munmap(mmOf(process), at(i), 64 * PAGE));
  expect([...vm.deferredSplits]).toEqual([]);
  expect(nodeStat(vm, "nr_anon_pages")).toBe(0);
  run(exitProcess(process));
  expect(machine.freePages()).toBeGreaterThanOrEqual(empty);
});

test("a huge page that moves as a whole stays one, and to another alignment is mapped in parts", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "part");
  const move = (from: VirtAddr, target: VirtAddr): void => {
    const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
    run(
      mremap(mmOf(process), { address: from, oldLength: HUGE, newLength: HUGE, flags, newAddress: target }),
    );
  };
  move(at(0), at(4 * PARTS));
  expect(hugeAt(process, at(4 * PARTS))).toBe(head);
  expect(read(process, at(4 * PARTS + 77), 7)).toBe("part 77");
  expectAllSound(machine);
  move(at(4 * PARTS), at(8 * PARTS + 1));
  expect(smallAt(process, at(8 * PARTS + 1))).toBe(head);
  expect(read(process, at(8 * PARTS + 1 + 511), 8)).toBe("part 511");
  expectAllSound(machine);
  expect(splitFromOutside(machine, head)).toBe(true);
  expect(read(process, at(8 * PARTS + 1 + 300), 8)).toBe("part 300");
  expectAllSound(machine);
});

test("a locked huge page is off the lists that reclaim looks at, and its parts are when it is divided", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  run(mlock(mmOf(process), at(0), HUGE));
  expect([nodeStat(vm, "nr_unevictable"), nodeStat(vm, "nr_inactive_anon")]).toEqual([512, 0]);
  expect(splitFromOutside(machine, head)).toBe(true);
  expect([nodeStat(vm, "nr_unevictable"), nodeStat(vm, "nr_inactive_anon")]).toEqual([512, 0]);
  expectAllSound(machine);
  run(munlock(mmOf(process), at(0), HUGE));
  expect([nodeStat(vm, "nr_unevictable"), nodeStat(vm, "nr_inactive_anon")]).toEqual([0, 512]);
});

test("a machine short of memory divides huge pages and swaps their parts out, and back", () => {
  const machine = hugeMachine({ nodes: [24 * MiB] });
  const { vm } = machine;
  swapSpace(vm).swapon({ path: "/dev/swap", size: 32 * MiB });
  const process = machine.spawn();
  mapPages(process, 0, 16 * PARTS);
  fill(process, 0, 16 * PARTS, "part");
  expect(event(vm, "thp_split_page")).toBeGreaterThan(0);
  expect(event(vm, "pswpout")).toBeGreaterThan(0);
  expect(differing(process, 0, 16 * PARTS, "part")).toEqual([]);
  expectAllSound(machine);
});

test("what FREE is said of in a huge page is divided off, and reclaim drops only that", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "part");
  run(madvise(mmOf(process), at(0), 32 * PAGE, Madv.FREE));
  expect([smallAt(process, at(0)), vm.memmap.test(head, PageFlag.head)]).toEqual([head, false]);
  expect([event(vm, "pglazyfree"), nodeStat(vm, "nr_inactive_file")]).toEqual([32, 32]);
  expect(differing(process, 32, 480, "part")).toEqual([]);
  expectAllSound(machine);
});

test("a huge page that FREE is said of stays huge, and keeps its contents if it is written again", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  swapSpace(vm).swapon({ path: "/dev/swap", size: 16 * MiB });
  const { process, head } = writtenHugePage(machine, "part");
  run(madvise(mmOf(process), at(0), HUGE, Madv.FREE));
  expect([hugeAt(process, at(0)), nodeStat(vm, "nr_inactive_file")]).toEqual([head, 512]);
  write(process, at(1), "again");
  run(madvise(mmOf(process), at(0), HUGE, Madv.PAGEOUT));
  expect(read(process, at(2), 6)).toBe("part 2");
  expectAllSound(machine);
});

test("a part of a huge page is paged out, and the rest stays", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  swapSpace(vm).swapon({ path: "/dev/swap", size: 16 * MiB });
  const { process } = writtenHugePage(machine, "part");
  run(madvise(mmOf(process), at(100), 10 * PAGE, Madv.PAGEOUT));
  expect(event(vm, "pswpout")).toBe(10);
  expect(mmOf(process).rssPages).toBe(502);
  expect(differing(process, 0, PARTS, "part")).toEqual([]);
  expectAllSound(machine);
});

test("a huge page that others map too is not divided for one's advice", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "part");
  run(forkProcess(process));
  run(madvise(mmOf(process), at(0), 32 * PAGE, Madv.FREE));
  run(madvise(mmOf(process), at(0), HUGE, Madv.COLD));
  expect([hugeAt(process, at(0)), event(machine.vm, "pglazyfree")]).toEqual([head, 0]);
  expectAllSound(machine);
});

test("urgent reclaim divides the huge pages that wait for it", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process } = writtenHugePage(machine, "part");
  run(madvise(mmOf(process), at(0), 500 * PAGE, Madv.DONTNEED));
  const free = machine.freePages();
  run(shrinkDeferredSplits(vm, nodeId(0), 12));
  expect(machine.freePages()).toBe(free);
  run(shrinkDeferredSplits(vm, nodeId(0), 0));
  expect(machine.freePages() - free).toBe(500);
});
