// Boot memory that nobody has touched: when its struct pages come to be, and what everybody sees before that.
import { nodeId, type Page, type Pfn } from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION, SectionFlag, sectionToPfn } from "@hetmem/page";
import { expect, test } from "vitest";
import { DeferredSections, type FrameRange } from "../src/deferred.ts";
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from "../src/gfp.ts";
import type { Zone } from "../src/zone.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MIGRATE_TYPES, MigrateType } from "../src/zone-type.ts";
import { type SmallMachine, smallMachine } from "@hetmem/test-machines/small-machine";

const NODE = nodeId(0);
const LARGEST = MAX_ORDER - 1;
const BLOCKS_PER_SECTION = PAGES_PER_SECTION / MAX_ORDER_NR_PAGES;

/** A zone of so many untouched sections, the first of which is section 1. */
function untouched(sections: number): SmallMachine & { readonly normal: Zone } {
  const machine = smallMachine({ nodes: [{ Normal: { deferredSections: sections } }] });
  return { ...machine, normal: machine.zone("Normal") };
}

function listedPages({ free }: Zone): number {
  let sum = 0;
  for (let type = 0; type < MIGRATE_TYPES; type++) sum += free.pagesOfType[type] ?? 0;
  return sum;
}

function isInitialised({ memmap }: SmallMachine, section: number): boolean {
  return memmap.initialised(memmap.pfnToPage(sectionToPfn(section)));
}

test("nothing is initialised until somebody asks, and yet all of it is free", () => {
  const machine = untouched(3);
  expect([1, 2, 3].map((section) => isInitialised(machine, section))).toEqual([false, false, false]);
  expect([machine.normal.freePages, machine.normal.deferred.pages]).toEqual(
    Array(2).fill(3 * PAGES_PER_SECTION),
  );
  expect(listedPages(machine.normal)).toBe(0);
});

test("the first request initialises the lowest section, and that alone", () => {
  const machine = untouched(3);
  const page = machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE);
  expect(page).toBe(machine.start(machine.normal));
  expect([1, 2, 3].map((section) => isInitialised(machine, section))).toEqual([true, false, false]);
  expect(machine.memmap.initialised((page + PAGES_PER_SECTION - 1) as Page)).toBe(true);
  expect(machine.normal.deferred.sections()).toEqual([2, 3]);
  expect(machine.memmap.sections.has(1, SectionFlag.initialised)).toBe(true);
});

test("an unmovable request grows the zone too", () => {
  const machine = untouched(2);
  expect(machine.allocator.allocPages(GFP_KERNEL, LARGEST, NODE)).toBe(machine.start(machine.normal));
  expect(machine.normal.deferred.sections()).toEqual([2]);
});

test("listed memory is used up before the zone grows", () => {
  const machine = smallMachine({ nodes: [{ Normal: { pages: MAX_ORDER_NR_PAGES, deferredSections: 1 } }] });
  const { deferred } = machine.zone("Normal");
  machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, LARGEST, NODE);
  expect(deferred.sections()).toEqual([2]);
  machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, LARGEST, NODE);
  expect(deferred.sections()).toEqual([]);
});

test("a section is handed out from its start, and the next one follows", () => {
  const machine = untouched(2);
  const first = machine.start(machine.normal);
  const pages: number[] = [];
  for (let i = 0; i < 2 * BLOCKS_PER_SECTION; i++) {
    pages.push(machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, LARGEST, NODE) - first);
  }
  expect(pages).toEqual(Array.from({ length: 2 * BLOCKS_PER_SECTION }, (_, i) => i * MAX_ORDER_NR_PAGES));
  expect(machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, LARGEST, NODE)).toBe(0);
});

test("growth changes no counter: the pages were free all along", () => {
  const { normal } = untouched(3);
  expect(normal.deferred.grow(normal)).toBe(true);
  expect([normal.freePages, normal.managedPages]).toEqual(Array(2).fill(3 * PAGES_PER_SECTION));
  expect([listedPages(normal), normal.deferred.pages]).toEqual([PAGES_PER_SECTION, 2 * PAGES_PER_SECTION]);
});

test("untouched sections count as blocks of the largest order, before and after growth", () => {
  const { normal } = untouched(2);
  const total = (): number =>
    normal.deferred.blocks(LARGEST, MigrateType.Movable) + normal.free.blocks(LARGEST, MigrateType.Movable);
  expect(total()).toBe(2 * BLOCKS_PER_SECTION);
  normal.deferred.grow(normal);
  expect(total()).toBe(2 * BLOCKS_PER_SECTION);
  expect(normal.deferred.blocks(LARGEST, MigrateType.Unmovable)).toBe(0);
  expect(normal.deferred.blocks(LARGEST - 1, MigrateType.Movable)).toBe(0);
});

test("a zone that has grown into everything can't grow", () => {
  const { normal } = untouched(1);
  expect([normal.deferred.grow(normal), normal.deferred.grow(normal)]).toEqual([true, false]);
});

test("who looks at a frame gets its section initialised, and the others stay as they are", () => {
  const machine = untouched(3);
  machine.normal.deferred.touch(machine.normal, (sectionToPfn(2) + 5) as Pfn);
  expect([1, 2, 3].map((section) => isInitialised(machine, section))).toEqual([false, true, false]);
  expect(machine.normal.deferred.sections()).toEqual([1, 3]);
  expect(machine.normal.deferred.pages).toBe(2 * PAGES_PER_SECTION);
});

test("looking again, or at a frame of nobody, changes nothing", () => {
  const { normal } = untouched(2);
  const frame = sectionToPfn(1);
  normal.deferred.touch(normal, frame);
  normal.deferred.touch(normal, frame);
  normal.deferred.touch(normal, sectionToPfn(3));
  expect([normal.deferred.sections(), listedPages(normal)]).toEqual([[2], PAGES_PER_SECTION]);
});

test("growth goes on with the lowest section that is left", () => {
  const { normal } = untouched(4);
  for (const section of [1, 3]) normal.deferred.touch(normal, sectionToPfn(section));
  normal.deferred.grow(normal);
  expect(normal.deferred.sections()).toEqual([4]);
});

test("growth begins with the lowest section, whichever was deferred first", () => {
  const { memmap, normal, pageblocks } = untouched(3);
  const deferred = new DeferredSections(memmap, pageblocks);
  deferred.defer(3, 4);
  deferred.defer(1, 2);
  deferred.grow(normal);
  expect(deferred.sections()).toEqual([3]);
});

test("parts and whole sections take turns by their frames", () => {
  const { memmap, normal, pageblocks } = untouched(3);
  const deferred = new DeferredSections(memmap, pageblocks);
  const start = sectionToPfn(2);
  const part = { start, end: (start + 1024) as Pfn };
  deferred.defer(1, 2);
  deferred.defer(3, 4);
  deferred.deferParts([{ ...part, free: [part] }]);
  const left = Array.from({ length: 3 }, () => {
    deferred.grow(normal);
    return deferred.sections();
  });
  expect(left).toEqual([[2, 3], [3], []]);
});

test("a frame is deferred until its section is initialised", () => {
  const { normal } = untouched(2);
  const frames = [0, sectionToPfn(1), sectionToPfn(3) - 1, sectionToPfn(3)] as Pfn[];
  expect(frames.map((frame) => normal.deferred.has(frame))).toEqual([false, true, true, false]);
  normal.deferred.grow(normal);
  expect(frames.map((frame) => normal.deferred.has(frame))).toEqual([false, false, true, false]);
});

/** Frames of section 1. */
function range(from: number, to: number): FrameRange {
  return { start: (sectionToPfn(1) + from) as Pfn, end: (sectionToPfn(1) + to) as Pfn };
}

/** Part of section 1, which no zone has touched, from frame to frame of the section. */
function partOfSection(
  end: number,
  free: readonly (readonly [start: number, end: number])[],
): ReturnType<typeof untouched> & { readonly parts: DeferredSections; at(frame: number): Page } {
  const machine = untouched(1);
  const parts = new DeferredSections(machine.memmap, machine.pageblocks);
  parts.deferParts([{ ...range(0, end), free: free.map(([from, to]) => range(from, to)) }]);
  return { ...machine, parts, at: (frame) => (machine.start(machine.normal) + frame) as Page };
}

test("what isn't free in a section becomes reserved pages with a reference, the rest is listed", () => {
  const { memmap, normal, parts, at } = partOfSection(4096, [
    [16, 1024],
    [2048, 3072],
  ]);
  expect(parts.pages).toBe(2032);
  expect(parts.grow(normal)).toBe(true);
  const frames = [0, 15, 16, 1023, 1024, 2047, 2048, 3071, 3072, 4095];
  const reserved = frames.map((frame) => memmap.test(at(frame), PageFlag.reserved));
  expect(reserved).toEqual([true, true, false, false, true, true, false, false, true, true]);
  expect(frames.map((frame) => memmap.refcount(at(frame)))).toEqual(reserved.map(Number));
  expect(memmap.initialised(at(4096))).toBe(false);
  expect([listedPages(normal), parts.pages]).toEqual([2032, 0]);
});

test("the blocks that a part counts are those that it is going to list", () => {
  const { normal, parts } = partOfSection(4096, [
    [3, 1030],
    [2048, 3072],
  ]);
  const orders = Array.from({ length: MAX_ORDER }, (_, order) => order);
  const counted = orders.map((order) => parts.blocks(order, MigrateType.Movable));
  expect(counted).toEqual([1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
  parts.grow(normal);
  expect(orders.map((order) => normal.free.blocks(order, MigrateType.Movable))).toEqual(counted);
  expect(orders.map((order) => parts.blocks(order, MigrateType.Movable))).toEqual(orders.map(() => 0));
});

test("a part without free pages is no reason to grow, and is initialised when somebody looks", () => {
  const { memmap, normal, parts, at } = partOfSection(512, []);
  expect([parts.grow(normal), parts.sections()]).toEqual([false, [1]]);
  parts.touch(normal, (sectionToPfn(1) + 511) as Pfn);
  expect([memmap.test(at(511), PageFlag.reserved), parts.sections()]).toEqual([true, []]);
});

test("a part is free when no page of it is reserved, and has no frames behind its end", () => {
  const start = sectionToPfn(1);
  expect(partOfSection(1024, [[0, 1024]]).parts.isFree(1)).toBe(true);
  const { parts } = partOfSection(1024, [[0, 1023]]);
  expect(parts.isFree(1)).toBe(false);
  expect([parts.has((start + 1023) as Pfn), parts.has((start + 1024) as Pfn)]).toEqual([true, false]);
});
