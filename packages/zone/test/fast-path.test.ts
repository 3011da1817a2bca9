// The allocator remembers which list served the last request of a kind. Nobody may notice but by the clock: whatever
// changes in between is heeded, and everything is counted.
import type { NodeId, Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Gfp, GFP_HIGHUSER_MOVABLE as MOVABLE, GFP_KERNEL } from "../src/gfp.ts";
import { NumaStat, VmEvent } from "../src/vmstat.ts";
import { MigrateType } from "../src/zone-type.ts";
import type { Zone } from "../src/zone.ts";
import {
  NODE_0,
  oneZone,
  type SmallMachine,
  smallMachine,
  ZoneType,
} from "@hetmem/test-machines/small-machine";

const NODE_1 = 1 as NodeId;
const PCP = { high: 32, batch: 8 };
const PAGES = 4096;

function twoNodes(cpus = 1): SmallMachine & { readonly near: Zone; readonly far: Zone } {
  const machine = smallMachine({
    nodes: [{ Normal: { pages: PAGES } }, { Normal: { pages: PAGES } }],
    pcp: PCP,
    cpus,
  });
  return { ...machine, near: machine.zone("Normal", 0), far: machine.zone("Normal", 1) };
}

/** Allocates and frees a page near node 0, twice: the second request finds what the first left. */
function warm({ allocator }: SmallMachine, gfp = MOVABLE): void {
  for (let i = 0; i < 2; i++) allocator.freePages(allocator.allocPages(gfp, 0, NODE_0), 0);
}

function zoneOfNext({ allocator }: SmallMachine, gfp = MOVABLE): Zone {
  return allocator.zoneOf(allocator.allocPages(gfp, 0, NODE_0));
}

test("requests that the remembered list served are counted like all others", () => {
  const machine = twoNodes();
  for (let i = 0; i < 10; i++) machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  expect(machine.near.numaStat[NumaStat.numa_hit]).toBe(10);
  expect(machine.near.numaStat[NumaStat.numa_local]).toBe(10);
  expect(machine.allocator.events[VmEvent.pgalloc_normal]).toBe(10);
});

test("counters that are read twice are not counted twice", () => {
  const machine = twoNodes();
  for (let i = 0; i < 10; i++) machine.allocator.allocPages(i % 2 === 0 ? MOVABLE : GFP_KERNEL, 0, NODE_0);
  expect(machine.allocator.events[VmEvent.pgalloc_normal]).toBe(10);
  expect(machine.allocator.events[VmEvent.pgalloc_normal]).toBe(10);
});

test("pages near another node than the cpu's count as other, and as hits of that node", () => {
  const machine = twoNodes();
  for (let i = 0; i < 10; i++) machine.allocator.allocPages(MOVABLE, 0, NODE_1);
  expect(machine.far.numaStat[NumaStat.numa_hit]).toBe(10);
  expect(machine.far.numaStat[NumaStat.numa_other]).toBe(10);
  expect(machine.far.numaStat[NumaStat.numa_local]).toBe(0);
});

test("a low mark that rises above the free pages sends the next request to the next node", () => {
  const machine = twoNodes();
  warm(machine);
  machine.near.watermark.low = PAGES;
  expect(zoneOfNext(machine)).toBe(machine.far);
});

test("so does a boost of the marks", () => {
  const machine = twoNodes();
  warm(machine);
  machine.near.watermark.boost = PAGES;
  expect(zoneOfNext(machine)).toBe(machine.far);
});

test("so does a reserve for requests with that highest zone, and for no other request", () => {
  const machine = twoNodes();
  warm(machine);
  warm(machine, GFP_KERNEL);
  machine.near.setLowmemReserve(ZoneType.Movable, PAGES);
  expect(zoneOfNext(machine)).toBe(machine.far);
  expect(zoneOfNext(machine, GFP_KERNEL)).toBe(machine.near);
});

test("so do new zonelists", () => {
  const machine = twoNodes();
  warm(machine);
  const lists = machine.nodes[0]?.zonelists;
  if (lists) lists.fallback = lists.fallback.toReversed();
  expect(zoneOfNext(machine)).toBe(machine.far);
});

test("a request for one node is not served by another although the lists remember", () => {
  const machine = twoNodes();
  warm(machine);
  machine.near.watermark.min = PAGES;
  machine.near.watermark.low = PAGES;
  expect(machine.allocator.allocPages(MOVABLE | Gfp.THISNODE, 0, NODE_0)).toBe(NULL_PAGE);
});

test("after the cpu changes, its own lists are used", () => {
  const machine = twoNodes(2);
  warm(machine);
  machine.allocator.cpu = 1;
  machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  expect(machine.near.pcp.map((pcp) => pcp.count)).toEqual([PCP.batch, PCP.batch - 1]);
  machine.allocator.cpu = 0;
  machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  expect(machine.near.pcp.map((pcp) => pcp.count)).toEqual([PCP.batch - 1, PCP.batch - 1]);
});

test("what the one cpu was served is not lost when the other takes over", () => {
  const machine = twoNodes(2);
  for (const cpu of [0, 1, 0]) {
    machine.allocator.cpu = cpu;
    for (let i = 0; i < 5; i++) machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  }
  expect(machine.near.numaStat[NumaStat.numa_hit]).toBe(15);
  expect(machine.near.numaStat[NumaStat.numa_local]).toBe(10);
});

test("a fault point that is armed between two requests fails the second", () => {
  const machine = twoNodes();
  warm(machine);
  machine.kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
  expect(machine.allocator.allocPages(MOVABLE, 0, NODE_0)).toBe(NULL_PAGE);
});

test("a listener that comes between two requests hears of the second and of its free", () => {
  const machine = twoNodes();
  warm(machine);
  const heard: string[] = [];
  for (const name of ["mm_page_alloc", "mm_page_free"]) {
    machine.kernel.trace.define("kmem", name).subscribe((record) => heard.push(record.name));
  }
  machine.allocator.freePages(machine.allocator.allocPages(MOVABLE, 0, NODE_0), 0);
  expect(heard).toEqual(["mm_page_alloc", "mm_page_free"]);
});

test("a page whose pageblock was isolated goes past the lists", () => {
  const machine = oneZone(PAGES, { pcp: PCP });
  const page = machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  machine.normal.free.moveFreePages(page, MigrateType.Isolate);
  machine.pageblocks.set(page, MigrateType.Isolate);
  const count = machine.normal.pcp[0]?.count;
  const free = machine.normal.freePages;
  machine.allocator.freePages(page, 0);
  expect(machine.normal.pcp[0]?.count).toBe(count);
  expect(machine.normal.freePages).toBe(free);
});

test("while the lists are bypassed a free page is in the buddy at once, and so is the one that comes next from there", () => {
  const machine = oneZone(PAGES, { pcp: PCP });
  warm(machine);
  machine.normal.pcpDisabled++;
  machine.allocator.drainPcp(machine.normal);
  const page = machine.allocator.allocPages(MOVABLE, 0, NODE_0);
  expect(machine.normal.freePages).toBe(PAGES - 1);
  machine.allocator.freePages(page, 0);
  expect(machine.normal.freePages).toBe(PAGES);
  expect(machine.normal.pcp[0]?.count).toBe(0);
  machine.normal.pcpDisabled--;
  machine.allocator.freePages(machine.allocator.allocPages(MOVABLE, 0, NODE_0), 0);
  expect(machine.normal.pcp[0]?.count).toBe(PCP.batch);
});

test("no page is lost or counted twice, whatever is allocated, freed, drained or bypassed", () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("alloc" as const),
        gfp: fc.constantFrom(MOVABLE, GFP_KERNEL),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("free" as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("bypass" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cpu" as const), cpu: fc.constantFrom(0, 1) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const { allocator, normal } = oneZone(256, { pcp: { high: 16, batch: 4 }, cpus: 2 });
      const held: Page[] = [];
      let allocated = 0;
      for (const each of steps) {
        if (each.kind === "alloc") {
          const page = allocator.allocPages(each.gfp, 0, NODE_0);
          if (page === NULL_PAGE) continue;
          expect(held).not.toContain(page);
          held.push(page);
          allocated++;
        } else if (each.kind === "free" && held.length > 0) {
          const [page] = held.splice(each.which % held.length, 1);
          if (page !== undefined) allocator.freePages(page, 0);
        } else if (each.kind === "bypass") {
          normal.pcpDisabled = normal.pcpDisabled === 0 ? 1 : 0;
          if (normal.pcpDisabled > 0) allocator.drainPcp(normal);
        } else if (each.kind === "cpu") {
          allocator.cpu = each.cpu;
        }
        const cached = normal.pcp.reduce((sum, pcp) => sum + pcp.count, 0);
        const listed = normal.free.pagesOfType.reduce((sum, pages) => sum + pages);
        expect(normal.freePages + cached + held.length).toBe(256);
        expect(listed).toBe(normal.freePages);
      }
      expect(allocator.events[VmEvent.pgalloc_normal]).toBe(allocated);
      expect(allocator.events[VmEvent.pgfree]).toBe(allocated - held.length);
      expect(normal.numaStat[NumaStat.numa_hit]).toBe(allocated);
    }),
    { numRuns: 150 },
  );
});
