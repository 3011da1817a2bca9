import { unpinUserPages } from "@hetmem/gup";
import { nodeId, type Page, run } from "@hetmem/kernel";
import {
  MigrateMode,
  migratePages,
  MigrateReason,
  migrationTarget,
  putbackMovablePages,
} from "@hetmem/migrate";
import { PageFlag } from "@hetmem/page";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { read, write } from "@hetmem/test-machines/files";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { at } from "@hetmem/test-machines/mappings";
import {
  differing,
  expectAllSound,
  hugeAt,
  hugeMachine,
  PARTS,
  smallAt,
  wholeMappings,
  writtenHugePage,
} from "@hetmem/test-machines/thp";
import { mmOf, PAGE } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect, test } from "vitest";
import { splitHugePage } from "../src/huge/split-page.ts";
import { trylockPage, unlockPage } from "../src/page-lock.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { pageMapcount } from "../src/rmap/page-mapcount.ts";
import { madvise } from "@hetmem/madvise";
import { Madv } from "../src/vma/map-flags.ts";

const HUGE = PARTS * PAGE;

test("a fork maps a huge page in the child too, and neither may write to it any more", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  expect([hugeAt(process, at(0)), hugeAt(child, at(0))]).toEqual([head, head]);
  expect([machine.vm.memmap.refcount(head), wholeMappings(machine, head)]).toEqual([2, 2]);
  expect(machine.vm.memmap.test(head, PageFlag.anonExclusive)).toBe(false);
  expect(mmOf(child).rssPages).toBe(512);
  expect([
    nodeStat(machine.vm, "nr_anon_pages"),
    nodeStat(machine.vm, "nr_anon_transparent_hugepages"),
  ]).toEqual([512, 512]);
  expect(differing(child, 0, PARTS, "both")).toEqual([]);
  expectAllSound(machine);
});

test("a write of one of them copies a small page, and the other keeps the huge one whole", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  write(child, at(77), "child's");
  expect(hugeAt(process, at(0))).toBe(head);
  expect([smallAt(child, at(76)), smallAt(child, at(77)) === head + 77]).toEqual([head + 76, false]);
  expect([wholeMappings(machine, head), machine.vm.memmap.refcount(head)]).toEqual([1, 512]);
  // Each part once, and the copy.
  expect(nodeStat(machine.vm, "nr_anon_pages")).toBe(513);
  expect([read(process, at(77), 7), read(child, at(77), 7)]).toEqual(["both 77", "child's"]);
  expect(pageMapcount(machine.vm.memmap, (head + 76) as Page)).toBe(2);
  expectAllSound(machine);
});

test("the last one that maps a huge page writes to it without a copy", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  run(exitProcess(child));
  write(process, at(5), "mine");
  expect(hugeAt(process, at(0))).toBe(head);
  expect(machine.vm.memmap.test(head, PageFlag.anonExclusive)).toBe(true);
  expect(event(machine.vm, "thp_split_pmd")).toBe(0);
  expectAllSound(machine);
});

test("a child that was left alone with a huge page owns it, and its anonymous family is the child's", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  run(exitProcess(process));
  write(child, at(5), "mine");
  expect(hugeAt(child, at(0))).toBe(head);
  expect(machine.vm.anonVmas.of(machine.vm.memmap, head)).toBe(mmOf(child).vmas.at(at(0))?.anonVma);
  expectAllSound(machine);
});

test("a pinned huge page stays the parent's, in parts, and the child gets copies", () => {
  const machine = hugeMachine();
  const { process, head } = writtenHugePage(machine, "both");
  const pins = run(pinUserPages(mmOf(process), at(3), 1, { write: true }));
  const child = run(forkProcess(process));
  write(process, at(3), "pinned");
  expect(smallAt(process, at(3))).toBe(head + 3);
  expect(smallAt(child, at(3))).not.toBe(head + 3);
  expect(differing(child, 0, PARTS, "both")).toEqual([]);
  unpinUserPages(machine.vm, pins);
  expectAllSound(machine);
});

test("dividing a huge page that several processes map, whole and in parts, loses nothing for any of them", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  const grandchild = run(forkProcess(child));
  write(child, at(1), "child's");
  run(madvise(mmOf(grandchild), at(500), 12 * PAGE, Madv.DONTNEED));
  vm.memmap.getPage(head);
  trylockPage(vm.memmap, head);
  expect(run(splitHugePage(vm, head))).toBe(true);
  unlockPage(vm.memmap, head);
  vm.pages.put(head);
  expectAllSound(machine);
  expect([wholeMappings(machine, head), vm.memmap.refcount((head + 2) as Page)]).toEqual([
    vm.memmap.index((head + 1) as Page),
    3,
  ]);
  expect(differing(process, 0, PARTS, "both")).toEqual([]);
  expect([read(child, at(1), 7), read(grandchild, at(1), 6)]).toEqual(["child's", "both 1"]);
  expect(read(grandchild, at(500), 4)).toBe("\0\0\0\0");
});

test("a huge page that parent and child share moves to another node in parts, for both", () => {
  const machine = hugeMachine();
  const { vm } = machine;
  const { process, head } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  expect(vm.lru.isolate(head)).toBe(true);
  const target = migrationTarget(vm, { node: nodeId(1), gfp: GFP_HIGHUSER_MOVABLE });
  const { migrated, failed } = run(migratePages(vm, [head], target, MigrateMode.Sync, MigrateReason.Syscall));
  putbackMovablePages(
    vm,
    failed.map(({ page }) => page),
  );
  expect([migrated, event(vm, "thp_migration_split")]).toEqual([512, 1]);
  const page = smallAt(child, at(100));
  expect(page).toBe(smallAt(process, at(100)));
  expect(vm.memmap.nodeOf(page as Page)).toBe(1);
  expect([differing(process, 0, PARTS, "both"), differing(child, 0, PARTS, "both")]).toEqual([[], []]);
  expectAllSound(machine);
});

test("all memory is free again when parent, child and grandchild have gone, whoever wrote what", () => {
  const machine = hugeMachine();
  const before = machine.freePages();
  const { process } = writtenHugePage(machine, "both");
  const child = run(forkProcess(process));
  write(process, at(9), "parent's");
  const grandchild = run(forkProcess(child));
  run(madvise(mmOf(grandchild), at(0), HUGE / 2, Madv.DONTNEED));
  write(grandchild, at(400), "grandchild's");
  for (const one of [child, process, grandchild]) {
    run(exitProcess(one));
    expectAllSound(machine);
  }
  expect(machine.freePages()).toBe(before);
  expect([
    nodeStat(machine.vm, "nr_anon_pages"),
    nodeStat(machine.vm, "nr_anon_transparent_hugepages"),
  ]).toEqual([0, 0]);
});
