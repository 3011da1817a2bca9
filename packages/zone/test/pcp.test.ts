// Pages that each cpu keeps ready: refill, trim, drain, and who goes past the lists.
import { nodeId, type Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from "../src/gfp.ts";
import type { PerCpuPages } from "../src/pcp.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MigrateType } from "../src/zone-type.ts";
import { oneZone, type SmallMachine } from "@hetmem/test-machines/small-machine";

const NODE = nodeId(0);
const PAGES = 4 * MAX_ORDER_NR_PAGES;
const MOVABLE = GFP_HIGHUSER_MOVABLE;
const { Unmovable, Movable, Isolate } = MigrateType;

interface Listed extends SmallMachine {
  readonly normal: ReturnType<typeof oneZone>["normal"];
  alloc(order?: number, gfp?: number): Page;
  allocMany(count: number, gfp?: number): Page[];
  free(page: Page, order?: number): void;
}

function listed(pcp = { high: 32, batch: 8 }, cpus = 1): Listed {
  const machine = oneZone(PAGES, { pcp, cpus });
  const alloc = (order = 0, gfp = MOVABLE): Page => machine.allocator.allocPages(gfp, order, NODE);
  return {
    ...machine,
    alloc,
    allocMany: (count, gfp) => Array.from({ length: count }, () => alloc(0, gfp)),
    free: (page, order = 0) => machine.allocator.freePages(page, order),
  };
}

function pcpOf({ normal }: Listed, cpu = 0): PerCpuPages {
  return normal.pcp[cpu] as PerCpuPages;
}

function countBlocks({ normal }: Listed, order: number): number {
  return [0, 1, 2].reduce((sum, type) => sum + normal.free.blocks(order, type as MigrateType), 0);
}

test("a request that finds the list empty moves a batch from the buddy", () => {
  const machine = listed();
  machine.alloc();
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([7, PAGES - 8]);
});

test("the rest of the batch is handed out without asking the buddy, in its order", () => {
  const machine = listed();
  const first = machine.start(machine.normal);
  expect(machine.allocMany(8)).toEqual(Array.from({ length: 8 }, (_, i) => first + i));
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES - 8]);
  machine.alloc();
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([7, PAGES - 16]);
});

test("a batch of one keeps nothing ready", () => {
  const machine = listed({ high: 32, batch: 1 });
  machine.alloc();
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES - 1]);
});

test("the page freed last is used first, as its cache lines are warm", () => {
  const machine = listed();
  const [, second, third] = machine.allocMany(8) as [Page, Page, Page];
  machine.free(third);
  machine.free(second);
  expect([machine.alloc(), machine.alloc()]).toEqual([second, third]);
});

test("frees below the high mark stay on the list", () => {
  const machine = listed();
  for (const page of machine.allocMany(40).slice(0, 31)) machine.free(page);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([31, PAGES - 40]);
});

test("the free that reaches the high mark gives the oldest batch back to the buddy", () => {
  const machine = listed();
  const pages = machine.allocMany(40).slice(0, 32);
  for (const page of pages) machine.free(page);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([24, PAGES - 32]);
  expect(pcpOf(machine).blocks(0, Movable)).toEqual(pages.slice(8));
});

test("the list that grew is trimmed first, and the others only for what it lacks", () => {
  const machine = listed({ high: 8, batch: 6 });
  const unmovable = machine.allocMany(6, GFP_KERNEL);
  const movable = machine.allocMany(6);
  for (const page of [...unmovable.slice(0, 3), ...movable.slice(0, 5)]) machine.free(page);
  expect(pcpOf(machine).blocks(0, Movable)).toEqual([]);
  expect(pcpOf(machine).blocks(0, Unmovable)).toEqual(unmovable.slice(1, 3));
  expect(pcpOf(machine).count).toBe(2);
});

test("a page goes to the list of its pageblock's type, whatever it was allocated as", () => {
  const machine = listed();
  const page = machine.allocMany(8, GFP_KERNEL)[0] as Page;
  machine.pageblocks.set(page, Movable);
  machine.free(page);
  expect([pcpOf(machine).blocks(0, Unmovable), pcpOf(machine).blocks(0, Movable)]).toEqual([[], [page]]);
});

test.each([
  [1, 4],
  [2, 2],
  [3, 2],
])("blocks of order %i have lists of their own, refilled with %i at a time", (order, blocks) => {
  const machine = listed();
  const page = machine.alloc(order);
  const kept = (blocks - 1) << order;
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([kept, PAGES - (blocks << order)]);
  machine.free(page, order);
  expect(pcpOf(machine).blocks(order, Movable).at(-1)).toBe(page);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([
    kept + (1 << order),
    PAGES - (blocks << order),
  ]);
  expect(pcpOf(machine).blocks(0, Movable)).toEqual([]);
});

test("larger blocks than order 3 go past the lists", () => {
  const machine = listed();
  const page = machine.alloc(4);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES - 16]);
  machine.free(page, 4);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES]);
});

test("draining gives every page of every cpu back, and they merge", () => {
  const machine = listed(undefined, 2);
  const pages = machine.allocMany(5);
  machine.allocator.cpu = 1;
  machine.free(machine.alloc(2), 2);
  for (const page of pages) machine.free(page);
  expect(pcpOf(machine, 0).count).toBeGreaterThan(0);
  expect(pcpOf(machine, 1).count).toBeGreaterThan(0);
  machine.allocator.drainPcp(machine.normal);
  expect([pcpOf(machine, 0).count, pcpOf(machine, 1).count, machine.normal.freePages]).toEqual([0, 0, PAGES]);
  expect(countBlocks(machine, MAX_ORDER - 1)).toBe(4);
});

test("a cpu uses its own lists alone", () => {
  const machine = listed(undefined, 2);
  const page = machine.alloc();
  machine.allocator.cpu = 1;
  machine.alloc();
  expect([pcpOf(machine, 0).count, pcpOf(machine, 1).count]).toEqual([7, 7]);
  machine.free(page);
  expect([pcpOf(machine, 0).count, pcpOf(machine, 1).count]).toEqual([7, 8]);
});

test("while the lists are disabled, requests and frees go to the buddy; then they come back", () => {
  const machine = listed();
  machine.free(machine.alloc());
  machine.normal.pcpDisabled = 1;
  machine.allocator.drainPcp(machine.normal);
  const page = machine.alloc();
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES - 1]);
  machine.free(page);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES]);
  machine.normal.pcpDisabled = 0;
  machine.free(machine.alloc());
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([8, PAGES - 8]);
});

test("two users of a disabled zone have to finish before the lists come back", () => {
  const machine = listed();
  machine.normal.pcpDisabled = 2;
  machine.normal.pcpDisabled = 1;
  machine.free(machine.alloc());
  expect(pcpOf(machine).count).toBe(0);
});

test("a page of an isolated pageblock goes to the isolated lists and isn't counted as free", () => {
  const machine = listed();
  const page = machine.allocMany(8)[0] as Page;
  machine.pageblocks.set(page, Isolate);
  machine.free(page);
  expect([pcpOf(machine).count, machine.normal.freePages]).toEqual([0, PAGES - 8]);
  expect([...machine.normal.free.blockPages(0, Isolate)]).toEqual([page]);
});

test("a page whose pageblock was isolated while it lay on a list drains to the isolated lists", () => {
  const machine = listed();
  const page = machine.alloc();
  machine.free(page);
  machine.pageblocks.set(page, Isolate);
  expect(machine.normal.free.moveFreePages(page, Isolate)).toBe(504);
  machine.allocator.drainPcp(machine.normal);
  expect(machine.normal.free.pagesOfType[Isolate]).toBe(512);
  expect(machine.normal.freePages).toBe(PAGES - 8);
});

const step = fc.oneof(
  fc.record({ order: fc.integer({ min: 0, max: 5 }), gfp: fc.constantFrom(GFP_KERNEL, MOVABLE) }),
  fc.record({ order: fc.constant(0), gfp: fc.constantFrom(GFP_KERNEL, MOVABLE) }),
  fc.record({ free: fc.nat(1000) }),
  fc.record({ cpu: fc.integer({ min: 0, max: 1 }) }),
);

test("any sequence hands out each page once, loses none, and drains back to the largest blocks", () => {
  const lists = fc.record({ high: fc.integer({ min: 1, max: 40 }), batch: fc.integer({ min: 1, max: 12 }) });
  fc.assert(
    fc.property(lists, fc.array(step, { minLength: 10, maxLength: 200 }), (pcp, steps) => {
      const machine = listed(pcp, 2);
      const held: { readonly page: Page; readonly order: number }[] = [];
      const used = new Set<number>();
      const give = ({ page, order }: { readonly page: Page; readonly order: number }): void => {
        for (let i = 0; i < 1 << order; i++) used.delete(page + i);
        machine.free(page, order);
      };
      for (const what of steps) {
        if ("cpu" in what) machine.allocator.cpu = what.cpu;
        else if ("free" in what) {
          for (const block of held.splice(what.free % (held.length + 1), 1)) give(block);
        } else {
          const page = machine.alloc(what.order, what.gfp);
          if (page === NULL_PAGE) continue;
          expect(page % (1 << what.order)).toBe(0);
          for (let i = 0; i < 1 << what.order; i++) {
            expect(used.has(page + i)).toBe(false);
            used.add(page + i);
          }
          held.push({ page, order: what.order });
        }
        const onLists = pcpOf(machine, 0).count + pcpOf(machine, 1).count;
        expect(machine.normal.freePages + onLists + used.size).toBe(PAGES);
      }
      for (const block of held) give(block);
      machine.allocator.drainPcp(machine.normal);
      expect([machine.normal.freePages, countBlocks(machine, MAX_ORDER - 1)]).toEqual([PAGES, 4]);
    }),
    { numRuns: Number(process.env["HETMEM_RUNS"] ?? 60) },
  );
});
