import { type Invariant, type Page, type Pfn } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addTo,
  allZones,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  type Memory,
  memoryInvariants,
  MigrateType,
  quickInvariants,
  type Zone,
  ZoneStat,
  ZoneType,
} from "../src/index.ts";
import { bootHost } from "./captured-host.ts";

function broken(memory: Memory, invariants: readonly Invariant<Memory>[] = memoryInvariants): string[] {
  return invariants.filter((rule) => [...rule.check(memory)].length > 0).map(({ name }) => name);
}

function dma32(memory: Memory): Zone {
  const zone = memory.nodes[0]?.zones[ZoneType.DMA32];
  if (!zone) throw new Error("no DMA32");
  return zone;
}

/** A machine that has allocated, so that there are lists to break. */
function usedHost(): { memory: Memory; zone: Zone; page: Page } {
  const memory = bootHost("hidden-ram");
  const page = memory.allocator.allocPages(GFP_KERNEL, 0, memory.nodes[0]?.id ?? (0 as never));
  return { memory, zone: dma32(memory), page };
}

test("a machine that has just booted breaks none", () => {
  expect(broken(bootHost("hidden-ram"))).toEqual([]);
  expect(broken(bootHost("baseline"))).toEqual([]);
});

test("nor does one that allocates and frees whatever it likes", () => {
  const step = fc.record({
    order: fc.integer({ min: 0, max: 10 }),
    movable: fc.boolean(),
    node: fc.integer({ min: 0, max: 1 }),
    keep: fc.boolean(),
    section: fc.integer({ min: 0, max: 15 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const memory = bootHost("hidden-ram");
      const held: [Page, number][] = [];
      for (const { order, movable, node, keep, section } of steps) {
        const page = memory.allocator.allocPages(
          movable ? GFP_HIGHUSER_MOVABLE : GFP_KERNEL,
          order,
          node as never,
        );
        held.push([page, order]);
        if (!keep)
          for (const [back, size] of held.splice(held.length >> 1, 1)) memory.allocator.freePages(back, size);
        if (order === 7)
          for (const zone of allZones(memory)) zone.deferred.touch(zone, (section * 32_768 + 8192) as Pfn);
        expect(broken(memory, quickInvariants)).toEqual([]);
      }
      expect(broken(memory)).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

describe("a rule says so when", () => {
  const cases: Readonly<
    Record<string, readonly [rule: string, breakIt: (memory: Memory, zone: Zone, page: Page) => void]>
  > = {
    "a zone manages more than it has": [
      "managed <= present <= spanned",
      (_memory, zone) => {
        zone.presentPages = zone.managedPages - 1;
      },
    ],
    "a zone ends behind its node": [
      "a node spans its zones, and nothing beside them",
      (memory) => {
        const node = memory.nodes[0];
        if (node) node.spannedPages -= 1;
      },
    ],
    "a node ends behind its zones": [
      "a node spans its zones, and nothing beside them",
      (memory) => {
        const node = memory.nodes[0];
        if (node) node.spannedPages += 1;
      },
    ],
    "a node begins before its zones": [
      "a node spans its zones, and nothing beside them",
      (memory) => {
        const node = memory.nodes[1];
        if (!node) throw new Error("no node 1");
        node.startPfn = (node.startPfn - 512) as Pfn;
        node.spannedPages += 512;
      },
    ],
    "a zone without pages lies outside of its node": [
      "a node spans its zones, and nothing beside them",
      (memory) => {
        const device = memory.nodes[0]?.zones[ZoneType.Device];
        if (!device) throw new Error("no Device");
        device.startPfn = 0x900000 as Pfn;
        device.spannedPages = 512;
      },
    ],
    "free pages are miscounted": [
      "nr_free_pages counts what is listed and what nobody has touched",
      (_memory, zone) => addTo(zone, ZoneStat.nr_free_pages, -1),
    ],
    "pages of a type are miscounted": [
      "the lists of a type have as many pages as are counted for it",
      (_memory, zone) => {
        zone.free.pagesOfType[MigrateType.Movable] = (zone.free.pagesOfType[MigrateType.Movable] ?? 0) + 2;
        zone.free.pagesOfType[MigrateType.Unmovable] =
          (zone.free.pagesOfType[MigrateType.Unmovable] ?? 0) - 2;
      },
    ],
    "a per-cpu list is miscounted": [
      "a per-cpu list has as many pages as are counted for it",
      (_memory, zone) => {
        const pcp = zone.pcp[0];
        if (pcp) pcp.count++;
      },
    ],
    "more is free than managed": [
      "free and cached pages are managed",
      (_memory, zone) => {
        zone.managedPages = 1000;
      },
    ],
    "a watermark is above the next": [
      "watermarks are in order",
      (_memory, zone) => {
        zone.watermark.min = zone.watermark.high + 1;
      },
    ],
    "a zone with memory is in no zonelist": [
      "every request can reach every zone that has memory, and no other",
      (memory, zone) => {
        for (const node of memory.nodes)
          if (node) node.zonelists.fallback = node.zonelists.fallback.filter((other) => other !== zone);
      },
    ],
    "a free page has a user": [
      "a free page is on one list, in one aligned block that its first page heads",
      (memory, zone) => {
        const [block] = zone.free.blockPages(10, MigrateType.Movable);
        memory.memmap.setRefcount(((block ?? 0) + 5) as Page, 1);
      },
    ],
    "a page is marked free and not listed": [
      "a free page is on one list, in one aligned block that its first page heads",
      (memory, _zone, page) => memory.memmap.set(page, PageFlag.buddy),
    ],
    "a page on a per-cpu list is in use": [
      "a free page is on one list, in one aligned block that its first page heads",
      (memory, zone) => {
        const [cached] = zone.pcp[0]?.blocks(0, MigrateType.Unmovable) ?? [];
        memory.memmap.setRefcount(cached ?? (0 as Page), 1);
      },
    ],
    "a free block lies in a pageblock that is isolated": [
      "a free page is on one list, in one aligned block that its first page heads",
      (memory, zone) => {
        const [block] = zone.free.blockPages(10, MigrateType.Movable);
        memory.allocator.pageblocks.set(block ?? (0 as Page), MigrateType.Isolate);
      },
    ],
    "present pages are not online": [
      "the pages of a zone lie in its span, and those that were plugged in are all of it",
      (_memory, zone) => {
        zone.presentEarlyPages -= 512;
      },
    ],
    "a zone spans what it has not": [
      "a zone's span begins and ends with its pages",
      (memory) => {
        const movable = memory.nodes[1]?.zones[ZoneType.Movable];
        if (!movable) throw new Error("no Movable");
        movable.spannedPages = 512;
      },
    ],
    "a struct page was initialised behind a zone's back": [
      "memory that nobody has touched is online, and has no struct pages",
      (memory, zone) => {
        const section = zone.deferred.sections().at(-1) ?? 0;
        memory.memmap.initRange(
          memory.memmap.pfnToPage((section * 32_768) as Pfn),
          512,
          ZoneType.DMA32,
          0,
          0,
        );
        memory.memmap.sections.set(section, 16);
      },
    ],
  };

  test.each(Object.entries(cases))("%s", (_name, [rule, breakIt]) => {
    const { memory, zone, page } = usedHost();
    expect(broken(memory)).toEqual([]);
    breakIt(memory, zone, page);
    expect(broken(memory)).toContain(rule);
  });
});
