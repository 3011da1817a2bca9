// Batches between the per-cpu lists and the buddy move in large blocks where they can. Nobody can tell: pages come in the
// order in which they would be split off one by one, and merge into the blocks that they would merge into one by one.
import type { NodeId, Page } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_ORDER, MigrateType } from "../src/zone-type.ts";
import { oneZone, UNMOVABLE } from "@hetmem/test-machines/small-machine";

const NODE = 0 as NodeId;
const PAGES = 4096;

/** Free blocks by order, with the first page of each. */
function freeBlocks(machine: ReturnType<typeof oneZone>): number[][] {
  return Array.from({ length: MAX_ORDER }, (_, order) =>
    Object.values(MigrateType)
      .flatMap((type) => [...machine.normal.free.blockPages(order, type)])
      .sort((a, b) => a - b),
  );
}

test("a batch is the pages that the buddy would give one by one", () => {
  const batched = oneZone(PAGES, { pcp: { high: 378, batch: 63 } });
  const single = oneZone(PAGES);
  const take = ({ allocator }: ReturnType<typeof oneZone>): number[] =>
    Array.from({ length: 700 }, () => allocator.allocPages(UNMOVABLE, 0, NODE));
  expect(take(batched)).toEqual(take(single));
});

test("pages that go back in batches merge into the blocks that they make one by one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 900 }), fc.integer(), (count, seed) => {
      const [batched, single] = [oneZone(PAGES, { pcp: { high: 100, batch: 31 } }), oneZone(PAGES)];
      for (const machine of [batched, single]) {
        const pages = Array.from({ length: count }, () => machine.allocator.allocPages(UNMOVABLE, 0, NODE));
        // Some are kept, and the rest is freed partly in order, partly not.
        const freed = pages.filter((page) => (page * 31 + seed) % 7 !== 0);
        if (seed % 2 === 0) freed.sort((a, b) => ((a ^ seed) % 97) - ((b ^ seed) % 97));
        for (const page of freed) machine.allocator.freePages(page as Page, 0);
        machine.allocator.drainPcp(machine.normal);
      }
      expect(freeBlocks(batched)).toEqual(freeBlocks(single));
      expect(batched.normal.freePages).toBe(single.normal.freePages);
    }),
  );
});
