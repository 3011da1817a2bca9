// The free lists of one zone: split, merge, and who takes what from whom when its own blocks are gone.
import { KernelBug, type Page } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MIGRATE_TYPES, MigrateType } from "../src/zone-type.ts";
import { oneZone, type SmallMachine } from "@hetmem/test-machines/small-machine";

const { Unmovable, Movable, Reclaimable, Isolate } = MigrateType;
const LARGEST = MAX_ORDER - 1;

interface Buddy extends Pick<SmallMachine, "memmap" | "pageblocks"> {
  readonly first: Page;
  take(order: number, type?: MigrateType): Page;
  /** Takes a block, and says how far behind the first page of the zone it is. */
  takeAt(order: number, type?: MigrateType): number;
  free(at: number, order: number, type?: MigrateType, toTail?: boolean): void;
  /** Blocks by order, of one type. */
  blocks(type?: MigrateType): number[];
  typeAt(at: number): MigrateType;
  readonly zone: ReturnType<typeof oneZone>["normal"];
}

/** A zone of so many blocks of the largest order. */
function buddyOf(largest: number): Buddy {
  const machine = oneZone(largest * MAX_ORDER_NR_PAGES);
  const zone = machine.normal;
  const first = machine.start(zone);
  const take = (order: number, type: MigrateType = Movable): Page => zone.free.take(order, type);
  return {
    ...machine,
    zone,
    first,
    take,
    takeAt: (order, type) => take(order, type) - first,
    free: (at, order, type = Movable, toTail = false) =>
      zone.free.free((first + at) as Page, order, type, toTail),
    blocks: (type = Movable) =>
      Array.from({ length: MAX_ORDER }, (_, order) => zone.free.blocks(order, type)),
    typeAt: (at) => machine.pageblocks.get((first + at) as Page),
  };
}

/** So many blocks of the orders named, none of the others. */
function only(orders: Readonly<Record<number, number>>): number[] {
  return Array.from({ length: MAX_ORDER }, (_, order) => orders[order] ?? 0);
}

test("a request for one page splits a large block, and one half of every size is left", () => {
  const buddy = buddyOf(1);
  expect(buddy.takeAt(0)).toBe(0);
  expect(buddy.blocks()).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
});

test("a request takes the smallest block that fits and leaves the larger ones whole", () => {
  const buddy = buddyOf(2);
  buddy.take(0);
  expect(buddy.takeAt(2)).toBe(4);
  expect(buddy.blocks()).toEqual([1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
});

test("a freed page merges with its buddy, and so on up to the largest block", () => {
  const buddy = buddyOf(1);
  buddy.take(0);
  buddy.free(0, 0);
  expect(buddy.blocks()).toEqual(only({ [LARGEST]: 1 }));
});

test("blocks of the largest order don't merge", () => {
  const buddy = buddyOf(2);
  buddy.take(LARGEST);
  buddy.free(0, LARGEST);
  expect(buddy.blocks()).toEqual(only({ [LARGEST]: 2 }));
});

test("neighbours that aren't buddies stay apart", () => {
  const buddy = buddyOf(1);
  for (let i = 0; i < 4; i++) buddy.take(0);
  const before = buddy.blocks();
  buddy.free(1, 0);
  buddy.free(2, 0);
  expect(buddy.blocks().map((count, order) => count - (before[order] ?? 0))).toEqual(only({ 0: 2 }));
});

test("a buddy of which only a part is free doesn't merge", () => {
  const buddy = buddyOf(1);
  for (let i = 0; i < 4; i++) buddy.take(0);
  buddy.free(2, 0);
  buddy.free(0, 1);
  expect([buddy.zone.free.blocks(0, Movable), buddy.zone.free.blocks(1, Movable)]).toEqual([1, 1]);
});

test("a block freed to the tail is used last", () => {
  const buddy = buddyOf(2);
  buddy.take(LARGEST);
  buddy.take(LARGEST);
  buddy.free(MAX_ORDER_NR_PAGES, LARGEST);
  buddy.free(0, LARGEST, Movable, true);
  expect(buddy.takeAt(LARGEST)).toBe(MAX_ORDER_NR_PAGES);
});

test("a block freed to the head is used first", () => {
  const buddy = buddyOf(2);
  buddy.take(LARGEST);
  buddy.take(LARGEST);
  buddy.free(MAX_ORDER_NR_PAGES, LARGEST);
  buddy.free(0, LARGEST);
  expect(buddy.takeAt(LARGEST)).toBe(0);
});

test("a page that will soon merge, as the buddy of its parent is free, is used last", () => {
  const buddy = buddyOf(1);
  for (let i = 0; i < 8; i++) buddy.take(0);
  buddy.free(2, 0);
  buddy.free(3, 0);
  buddy.free(4, 0);
  buddy.free(0, 0);
  expect(buddy.takeAt(0)).toBe(4);
});

test("a given free block comes off its list, and what isn't one is a bug", () => {
  const buddy = buddyOf(2);
  buddy.zone.free.takeBlock(buddy.first, LARGEST);
  expect([...buddy.zone.free.blockPages(LARGEST, Movable)]).toEqual([buddy.first + MAX_ORDER_NR_PAGES]);
  expect(() => buddy.zone.free.takeBlock(buddy.first, LARGEST)).toThrow(KernelBug);
  expect(() => buddy.zone.free.takeBlock((buddy.first + MAX_ORDER_NR_PAGES) as Page, 9)).toThrow(KernelBug);
});

test("a request that nothing can serve gets no page and changes nothing", () => {
  const buddy = buddyOf(1);
  buddy.take(0);
  const before = buddy.blocks();
  expect(buddy.take(LARGEST)).toBe(NULL_PAGE);
  expect(buddy.blocks()).toEqual(before);
});

test("an isolated pageblock doesn't merge with one that isn't", () => {
  const buddy = buddyOf(1);
  buddy.take(9);
  buddy.take(9);
  buddy.pageblocks.set((buddy.first + 512) as Page, Isolate);
  buddy.free(512, 9, Isolate);
  buddy.free(0, 9, Movable);
  expect(buddy.blocks(Isolate)).toEqual(only({ 9: 1 }));
  expect(buddy.blocks(Movable)).toEqual(only({ 9: 1 }));
});

test("isolated pageblocks merge with each other", () => {
  const buddy = buddyOf(1);
  buddy.take(LARGEST);
  buddy.pageblocks.setRange(buddy.first, MAX_ORDER_NR_PAGES, Isolate);
  buddy.free(0, 9, Isolate);
  buddy.free(512, 9, Isolate);
  expect(buddy.blocks(Isolate)).toEqual(only({ [LARGEST]: 1 }));
});

test("pageblocks of different types that requests use merge", () => {
  const buddy = buddyOf(1);
  buddy.take(LARGEST);
  buddy.pageblocks.set((buddy.first + 512) as Page, Unmovable);
  buddy.free(0, 9, Movable);
  buddy.free(512, 9, Unmovable);
  expect(buddy.blocks(Unmovable)).toEqual(only({ [LARGEST]: 1 }));
  expect(buddy.blocks(Movable)).toEqual(only({}));
});

test("no request takes an isolated block", () => {
  const buddy = buddyOf(1);
  buddy.take(LARGEST);
  buddy.pageblocks.setRange(buddy.first, MAX_ORDER_NR_PAGES, Isolate);
  buddy.free(0, LARGEST, Isolate);
  expect([Unmovable, Movable, Reclaimable].map((type) => buddy.take(0, type))).toEqual([0, 0, 0]);
});

test("the free pages of a pageblock move to another type's lists, those of its neighbour don't", () => {
  const buddy = buddyOf(1);
  buddy.take(0);
  expect(buddy.zone.free.moveFreePages((buddy.first + 100) as Page, Isolate)).toBe(511);
  expect(buddy.blocks(Isolate)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
  expect(buddy.blocks(Movable)).toEqual(only({ 9: 1 }));
  expect([buddy.zone.free.pagesOfType[Isolate], buddy.zone.free.pagesOfType[Movable]]).toEqual([511, 512]);
});

test("a request without blocks of its type takes over the largest of another, pageblocks and all", () => {
  const buddy = buddyOf(2);
  buddy.take(0);
  expect(buddy.takeAt(0, Unmovable)).toBe(MAX_ORDER_NR_PAGES);
  expect([512, 1024, 1536].map((at) => buddy.typeAt(at))).toEqual([Movable, Unmovable, Unmovable]);
  expect(buddy.blocks(Unmovable)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
});

test.each([
  ["unmovable", Unmovable, Reclaimable, Movable],
  ["reclaimable", Reclaimable, Unmovable, Movable],
  ["movable", Movable, Reclaimable, Unmovable],
])("among blocks of one size an %s request prefers one type", (_, type, preferred, other) => {
  const buddy = buddyOf(2);
  buddy.take(LARGEST);
  buddy.take(LARGEST);
  buddy.free(0, LARGEST, other);
  buddy.free(MAX_ORDER_NR_PAGES, LARGEST, preferred);
  expect(buddy.takeAt(0, type)).toBe(MAX_ORDER_NR_PAGES);
});

test("the larger block comes before the preferred type", () => {
  const buddy = buddyOf(2);
  buddy.take(LARGEST);
  buddy.take(LARGEST);
  buddy.free(0, 9, Reclaimable);
  buddy.free(MAX_ORDER_NR_PAGES, LARGEST, Movable);
  expect(buddy.takeAt(0, Unmovable)).toBe(MAX_ORDER_NR_PAGES);
});

/** A pageblock of which all but the last `free` pages are in use, in a zone that has nothing else. */
function nearlyFull(free: number, type: MigrateType): Buddy {
  const buddy = buddyOf(1);
  buddy.take(LARGEST);
  buddy.pageblocks.setRange(buddy.first, MAX_ORDER_NR_PAGES, type);
  buddy.free(512 - free, Math.log2(free), type);
  return buddy;
}

/** Puts the first pages of the zone on the LRU, as the pages of processes and files are. */
function putOnLru(buddy: Buddy, pages: number): void {
  for (let i = 0; i < pages; i++) buddy.memmap.set((buddy.first + i) as Page, PageFlag.lru);
}

test("a movable pageblock that is half free changes sides with an unmovable request", () => {
  const buddy = nearlyFull(256, Movable);
  putOnLru(buddy, 256);
  expect(buddy.takeAt(0, Unmovable)).toBe(256);
  expect(buddy.typeAt(0)).toBe(Unmovable);
});

test("one that is mostly used by movable pages gives its free pages, and stays movable", () => {
  const buddy = nearlyFull(128, Movable);
  putOnLru(buddy, 384);
  buddy.take(0, Unmovable);
  expect(buddy.typeAt(0)).toBe(Movable);
  expect(buddy.zone.free.pagesOfType[Unmovable]).toBe(127);
});

test("one that is mostly used by the kernel changes sides although little of it is free", () => {
  const buddy = nearlyFull(128, Movable);
  buddy.take(0, Unmovable);
  expect(buddy.typeAt(0)).toBe(Unmovable);
});

test("an unmovable pageblock that is mostly used by movable pages changes sides with a movable request", () => {
  const buddy = nearlyFull(128, Unmovable);
  putOnLru(buddy, 128);
  buddy.take(0, Movable);
  expect(buddy.typeAt(0)).toBe(Movable);
});

test("between unmovable and reclaimable only what is free counts", () => {
  const buddy = nearlyFull(128, Reclaimable);
  buddy.take(0, Unmovable);
  expect(buddy.typeAt(0)).toBe(Reclaimable);
});

test("the other pageblock of a pair keeps its type", () => {
  const buddy = nearlyFull(256, Movable);
  buddy.take(0, Unmovable);
  expect(buddy.typeAt(512)).toBe(Movable);
});

test("a movable request takes the smallest unmovable block and leaves the rest of the pageblock", () => {
  const buddy = nearlyFull(8, Unmovable);
  buddy.free(0, 1, Unmovable);
  expect(buddy.takeAt(0, Movable)).toBe(0);
  expect(buddy.blocks(Unmovable)).toEqual(only({ 3: 1 }));
  expect(buddy.blocks(Movable)).toEqual(only({ 0: 1 }));
  expect(buddy.typeAt(0)).toBe(Unmovable);
});

test("an unmovable request takes every free page of the pageblock of a small movable block", () => {
  const buddy = nearlyFull(8, Movable);
  buddy.free(0, 1, Movable);
  buddy.take(2, Unmovable);
  expect(buddy.blocks(Movable)).toEqual(only({}));
});

test("a movable request takes every free page of the pageblock when the block is large", () => {
  const buddy = nearlyFull(16, Unmovable);
  buddy.free(0, 1, Unmovable);
  buddy.take(2, Movable);
  expect(buddy.blocks(Unmovable)).toEqual(only({}));
});

const step = fc.oneof(
  fc.record({
    order: fc.integer({ min: 0, max: LARGEST }),
    type: fc.constantFrom<MigrateType>(Unmovable, Movable, Reclaimable),
  }),
  fc.record({ free: fc.nat(1000) }),
);

test("any sequence keeps blocks aligned and disjoint, loses no page, and merges back to the largest blocks", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
      const buddy = buddyOf(4);
      const pages = 4 * MAX_ORDER_NR_PAGES;
      const used = new Uint8Array(pages);
      const held: { readonly at: number; readonly order: number }[] = [];
      const give = ({ at, order }: { readonly at: number; readonly order: number }): void => {
        used.fill(0, at, at + (1 << order));
        buddy.free(at, order, buddy.typeAt(at));
      };
      for (const what of steps) {
        if ("free" in what) {
          for (const block of held.splice(what.free % (held.length + 1), 1)) give(block);
        } else {
          const page = buddy.take(what.order, what.type);
          if (page === NULL_PAGE) continue;
          const at = page - buddy.first;
          expect(at >= 0 && at + (1 << what.order) <= pages && at % (1 << what.order) === 0).toBe(true);
          expect(used.subarray(at, at + (1 << what.order)).includes(1)).toBe(false);
          used.fill(1, at, at + (1 << what.order));
          held.push({ at, order: what.order });
        }
        expect(freePagesOf(buddy)).toBe(pages - used.reduce((sum, bit) => sum + bit, 0));
      }
      for (const block of held) give(block);
      const largest = [Unmovable, Movable, Reclaimable].map((type) => buddy.zone.free.blocks(LARGEST, type));
      expect(largest.reduce((sum, count) => sum + count, 0)).toBe(4);
      expect(freePagesOf(buddy)).toBe(pages);
    }),
    { numRuns: Number(process.env["HETMEM_RUNS"] ?? 60) },
  );
});

/** Counted twice, by the lists and by the sums a type, which have to agree. */
function freePagesOf({ zone, blocks }: Buddy): number {
  let sum = 0;
  for (let type = 0; type < MIGRATE_TYPES; type++) {
    const listed = blocks(type as MigrateType).reduce((pages, count, order) => pages + count * 2 ** order, 0);
    expect(zone.free.pagesOfType[type]).toBe(listed);
    sum += listed;
  }
  return sum;
}
