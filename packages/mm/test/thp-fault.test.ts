import { MiB, nodeId, type Page, run } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { read, write } from "@hetmem/test-machines/files";
import { getUserPages } from "@hetmem/test-machines/locked-calls";
import { at, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import {
  expectAllSound,
  fill,
  hugeAt,
  hugeMachine,
  PARTS,
  smallAt,
  wholeMappings,
  withHuge,
} from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_USER, NodeStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import { handleMmFault } from "../src/fault/handle-mm-fault.ts";
import { FaultFlag, VmFault } from "../src/fault/vm-fault.ts";
import { type PageCharging, uncharged } from "../src/ports/charging.ts";
import { exitProcess } from "../src/process/exit.ts";
import { madvise } from "@hetmem/madvise";
import { Madv } from "../src/vma/map-flags.ts";
import { munmap } from "../src/vma/munmap.ts";

const HUGE = PARTS * PAGE;

/** Leaves half of each block of 2 MiB free. */
function fragment({ memory: { allocator } }: VmMachine): void {
  for (;;) {
    const block = allocator.allocPages(GFP_USER, 9, nodeId(0));
    if (block === NULL_PAGE) return;
    allocator.freeUnrefPages((block + PARTS / 2) as Page, 8);
  }
}

test("the first write to 2 MiB of a mapping gets a huge page, zeroed, with one entry and one reference", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0));
  if (head === undefined) throw new Error("no huge page");
  expect(machine.vm.memmap.refcount(head)).toBe(1);
  expect(wholeMappings(machine, head)).toBe(1);
  expect(machine.vm.memmap.test(head, PageFlag.anonExclusive)).toBe(true);
  expect([read(process, at(0), 6), read(process, at(511), 4)]).toEqual(["huge 0", "\0\0\0\0"]);
  expect(mmOf(process).rssPages).toBe(512);
  expect(event(machine.vm, "thp_fault_alloc")).toBe(1);
  expect(event(machine.vm, "pgfault")).toBe(1);
  expectAllSound(machine);
});

test("a huge page counts as 512 anonymous pages, in the mapping and on the LRU, and as 512 huge ones", () => {
  const { vm, spawn } = hugeMachine();
  withHuge(spawn(), 2);
  expect(nodeStat(vm, "nr_anon_pages")).toBe(1024);
  expect(nodeStat(vm, "nr_anon_transparent_hugepages")).toBe(1024);
  expect(nodeStat(vm, "nr_inactive_anon")).toBe(1024);
});

test("an entry for 2 MiB has its page table put by, so that dividing it needs no memory", () => {
  const { vm, spawn } = hugeMachine();
  const process = spawn();
  const before = nodeStat(vm, "nr_page_table_pages");
  withHuge(process);
  // One on each level below the topmost, the lowest of which is used by nobody yet.
  expect(nodeStat(vm, "nr_page_table_pages") - before).toBe(3);
});

test("each part of a huge page is written and read at its own address, and the entry notes it", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  mapPages(process, 0, PARTS);
  fill(process, 0, PARTS, "part");
  expect(event(machine.vm, "pgfault")).toBe(1);
  expect([read(process, at(300), 8), read(process, at(511), 8)]).toEqual(["part 300", "part 511"]);
  const { pageTable } = mmOf(process);
  const noted = Pte.accessed | Pte.dirty | Pte.write;
  expect(pageTable.flags(pageTable.findPmd(at(0))) & noted).toBe(noted);
});

test("the ends of a mapping that aren't whole 2 MiB get small pages", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  mapPages(process, 500, PARTS + 24);
  for (const page of [500, 512, 1030]) write(process, at(page), "x");
  expect([500, 512, 1030].map((page) => hugeAt(process, at(page)) !== undefined)).toEqual([
    false,
    true,
    false,
  ]);
  expect(mmOf(process).rssPages).toBe(514);
  expectAllSound(machine);
});

test("a read maps the zero page and no memory", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  mapPages(process, 0, PARTS);
  expect(read(process, at(7), 1)).toBe("\0");
  expect(mmOf(process).rssPages).toBe(0);
  expectAllSound(machine);
});

test.each([
  ["never", Madv.HUGEPAGE, false],
  ["madvise", Madv.HUGEPAGE, true],
  ["madvise", Madv.NORMAL, false],
  ["always", Madv.NORMAL, true],
  ["always", Madv.NOHUGEPAGE, false],
] as const)(
  "with %s enabled and advice %i given, whether there are huge pages is %s",
  (mode, advice, huge) => {
    const { spawn } = hugeMachine({ tunables: { transparentHugepage: mode } });
    const process = spawn();
    mapPages(process, 0, PARTS);
    run(madvise(mmOf(process), at(0), HUGE, advice));
    write(process, at(0), "x");
    expect(hugeAt(process, at(0)) !== undefined).toBe(huge);
  },
);

test("where no 2 MiB are free in one piece a small page does, and the fallback is counted", () => {
  const machine = hugeMachine({ nodes: [16 * MiB] });
  fragment(machine);
  const process = machine.spawn();
  withHuge(process);
  expect(hugeAt(process, at(0))).toBeUndefined();
  expect(event(machine.vm, "thp_fault_fallback")).toBe(1);
  expect(read(process, at(0), 6)).toBe("huge 0");
  expectAllSound(machine);
});

test("where the cgroup has no room for 2 MiB a small page does, and that is counted apart", () => {
  const charging: PageCharging = {
    ...uncharged,
    tryCharge: (mm, _page, pages) => mm === undefined || pages < PARTS,
    *charge() {
      return false;
    },
  };
  const machine = hugeMachine({ charging });
  const process = machine.spawn();
  const before = machine.freePages();
  withHuge(process);
  expect(hugeAt(process, at(0))).toBeUndefined();
  expect(event(machine.vm, "thp_fault_fallback")).toBe(1);
  expect(event(machine.vm, "thp_fault_fallback_charge")).toBe(1);
  run(munmap(mmOf(process), at(0), HUGE));
  expect(machine.freePages()).toBe(before);
});

test("a fault that gets neither a huge page nor a table for small ones is out of memory", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  mapPages(process, PARTS, PARTS);
  machine.kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
  const fault = handleMmFault(vmaAt(process, PARTS), at(PARTS), FaultFlag.WRITE);
  expect(run(fault)).toBe(VmFault.OOM);
  machine.kernel.faults.point("fail_page_alloc").disarm();
  write(process, at(PARTS), "later");
  expectAllSound(machine);
});

test("a huge page comes from the node where its process runs", () => {
  const { vm, spawn } = hugeMachine();
  const process = spawn("far", 1);
  withHuge(process);
  expect(vm.memmap.nodeOf(hugeAt(process, at(0)) as never)).toBe(1);
  expect(vm.memory.nodes[nodeId(1)]?.stat[NodeStat.nr_anon_transparent_hugepages]).toBe(512);
});

test("unmapping all of it frees the huge page, its put-by table among it", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  const before = machine.freePages();
  withHuge(process, 2);
  run(munmap(mmOf(process), at(0), 2 * HUGE));
  expect(mmOf(process).rssPages).toBe(0);
  expect(machine.freePages()).toBe(before);
  expect(nodeStat(machine.vm, "nr_anon_transparent_hugepages")).toBe(0);
  expectAllSound(machine);
});

test("all memory is free again after the exit of a process with huge pages", () => {
  const machine = hugeMachine();
  const before = machine.freePages();
  const process = machine.spawn();
  withHuge(process, 4);
  run(exitProcess(process));
  expect(machine.freePages()).toBe(before);
  expect([nodeStat(machine.vm, "nr_anon_pages"), nodeStat(machine.vm, "nr_inactive_anon")]).toEqual([0, 0]);
});

test("who asks for the pages behind addresses gets the parts of the huge one, held by references on its head", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0)) as number;
  const pages = run(getUserPages(mmOf(process), at(100), 3, { write: true }));
  expect(pages).toEqual([head + 100, head + 101, head + 102]);
  expect(machine.vm.memmap.refcount(head as never)).toBe(4);
  for (const _ of pages) machine.vm.memmap.putPage(head as never);
  expect(smallAt(process, at(100))).toBeUndefined();
});
