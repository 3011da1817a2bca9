// The allocator's injected failures, tracepoints and counters.
import { nodeId } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { describe, expect, test, vi } from "vitest";
import { Gfp, GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from "../src/gfp.ts";
import { NUMA_STATS, NumaStat, type NumaStatName, VmEvent } from "../src/vmstat.ts";
import type { Zone } from "../src/zone.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MigrateType } from "../src/zone-type.ts";
import { exhaust, oneZone, type SmallMachine, smallMachine } from "@hetmem/test-machines/small-machine";

const NODE = nodeId(0);
const LARGEST = MAX_ORDER - 1;
const ONE_BLOCK = { pages: MAX_ORDER_NR_PAGES };
const PCP = { high: 32, batch: 8 };

/** The events of the kmem tracepoints from now on, by name. */
function listen({ kernel }: SmallMachine): {
  readonly heard: [name: string, event: object][];
  end(): void;
} {
  const heard: [string, object][] = [];
  const ends = ["mm_page_alloc", "mm_page_free"].map((name) =>
    kernel.trace.define("kmem", name).subscribe((record) => {
      expect(record.system).toBe("kmem");
      heard.push([record.name, record.event]);
    }),
  );
  return { heard, end: () => ends.forEach((end) => end()) };
}

/** The NUMA counters of a zone that aren't 0. */
function numa(zone: Zone): Partial<Record<NumaStatName, number>> {
  const counted = NUMA_STATS.map((name) => [name, zone.numaStat[NumaStat[name]]] as const);
  return Object.fromEntries(counted.filter(([, count]) => count !== 0));
}

describe("fail_page_alloc", () => {
  test("an armed point fails requests and takes nothing, also those that a cpu's list could serve", () => {
    const { allocator, kernel, normal } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    allocator.allocPages(GFP_KERNEL, 0, NODE);
    kernel.faults.point("fail_page_alloc").arm({ probability: 100, times: 2 });
    expect(allocator.allocPages(GFP_KERNEL, 0, NODE)).toBe(NULL_PAGE);
    expect(allocator.allocPages(GFP_KERNEL, 5, NODE)).toBe(NULL_PAGE);
    expect([normal.freePages, normal.pcp[0]?.count]).toEqual([MAX_ORDER_NR_PAGES - 8, 7]);
    expect(allocator.allocPages(GFP_KERNEL, 0, NODE)).not.toBe(NULL_PAGE);
  });

  test("__GFP_NOFAIL is never failed, and doesn't use up a failure", () => {
    const { allocator, kernel } = oneZone(MAX_ORDER_NR_PAGES);
    const point = kernel.faults.point("fail_page_alloc");
    point.arm({ probability: 100 });
    expect(allocator.allocPages(GFP_KERNEL | Gfp.NOFAIL, 0, NODE)).not.toBe(NULL_PAGE);
    expect(point.calls).toBe(0);
  });

  test("a disarmed point fails nothing", () => {
    const { allocator, kernel } = oneZone(MAX_ORDER_NR_PAGES);
    const point = kernel.faults.point("fail_page_alloc");
    point.arm({ probability: 100 });
    point.disarm();
    expect(allocator.allocPages(GFP_KERNEL, 0, NODE)).not.toBe(NULL_PAGE);
  });
});

describe("tracepoints", () => {
  test.each([
    ["single pages of a cpu's list", { pcp: PCP }, 0],
    ["blocks", {}, 4],
  ])("mm_page_alloc and mm_page_free tell of %s", (_, options, order) => {
    const machine = oneZone(MAX_ORDER_NR_PAGES, options);
    machine.allocator.freePages(machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, order, NODE), order);
    const { heard } = listen(machine);
    const page = machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, order, NODE);
    machine.allocator.freePages(page, order);
    expect(heard).toEqual([
      ["mm_page_alloc", { page, order, gfp: GFP_HIGHUSER_MOVABLE, migratetype: MigrateType.Movable }],
      ["mm_page_free", { page, order }],
    ]);
  });

  test("a request that fails is told without a page", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    exhaust(machine, GFP_KERNEL);
    const { heard } = listen(machine);
    machine.allocator.allocPages(GFP_ATOMIC, 1, NODE);
    expect(heard).toEqual([
      ["mm_page_alloc", { page: NULL_PAGE, order: 1, gfp: GFP_ATOMIC, migratetype: MigrateType.Unmovable }],
    ]);
  });

  test("a request that is failed on purpose, or that is too large, isn't told at all", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    const { heard } = listen(machine);
    machine.allocator.allocPages(GFP_KERNEL | Gfp.NOWARN, MAX_ORDER, NODE);
    machine.kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
    machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
    expect(heard).toEqual([]);
  });

  test("dropping a reference that isn't the last is no free", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    const page = machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
    machine.memmap.getPage(page);
    const { heard } = listen(machine);
    machine.allocator.freePages(page, 0);
    expect(heard).toEqual([]);
  });

  test("no event is built while nobody listens", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const { end } = listen(machine);
    end();
    const emits = ["mm_page_alloc", "mm_page_free"].map((name) =>
      vi.spyOn(machine.kernel.trace.define("kmem", name), "emit"),
    );
    for (const order of [0, 0, 4])
      machine.allocator.freePages(machine.allocator.allocPages(GFP_KERNEL, order, NODE), order);
    for (const emit of emits) expect(emit).not.toHaveBeenCalled();
  });
});

describe("counters", () => {
  const LISTS = [
    ["the buddy", {}],
    ["cpu lists", { pcp: PCP }],
  ] as const;

  test.each(LISTS)("a page of one's own node is a local hit, from %s", (_, options) => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }], ...options });
    for (let i = 0; i < 20; i++) machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
    expect(numa(machine.zone("Normal", 0))).toEqual({ numa_hit: 20, numa_local: 20 });
    expect(numa(machine.zone("Normal", 1))).toEqual({});
  });

  test.each(LISTS)(
    "a page of the node that was asked for, not the cpu's, is a hit and other, from %s",
    (_, options) => {
      const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }], ...options });
      for (let i = 0; i < 20; i++) machine.allocator.allocPages(GFP_KERNEL, 0, nodeId(1));
      expect(numa(machine.zone("Normal", 0))).toEqual({});
      expect(numa(machine.zone("Normal", 1))).toEqual({ numa_hit: 20, numa_other: 20 });
    },
  );

  test("a page of another node than asked for is a miss there and foreign here", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }] });
    machine.allocator.allocPages(GFP_KERNEL, LARGEST, NODE);
    for (let i = 0; i < 3; i++) machine.allocator.allocPages(GFP_KERNEL, 2, NODE);
    expect(numa(machine.zone("Normal", 0))).toEqual({ numa_hit: 1, numa_local: 1, numa_foreign: 3 });
    expect(numa(machine.zone("Normal", 1))).toEqual({ numa_miss: 3, numa_other: 3 });
  });

  test("a page of another node that is the cpu's own is a miss, but local", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }] });
    machine.allocator.allocPages(GFP_KERNEL, LARGEST, nodeId(1));
    machine.allocator.allocPages(GFP_KERNEL, 0, nodeId(1));
    expect(numa(machine.zone("Normal", 0))).toEqual({ numa_miss: 1, numa_local: 1 });
    expect(numa(machine.zone("Normal", 1))).toEqual({ numa_hit: 1, numa_other: 1, numa_foreign: 1 });
  });

  test("another zone of the node that was asked for is a hit, and foreign to none", () => {
    const machine = smallMachine({ nodes: [{ DMA32: ONE_BLOCK, Normal: ONE_BLOCK }] });
    for (let i = 0; i < 2; i++) machine.allocator.allocPages(GFP_KERNEL, LARGEST, NODE);
    expect(numa(machine.zone("DMA32"))).toEqual({ numa_hit: 1, numa_local: 1 });
    expect(numa(machine.zone("Normal"))).toEqual({ numa_hit: 1, numa_local: 1 });
  });

  test("requests count for the cpu that made them, although another cpu's come between", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }], pcp: PCP, cpus: 2 });
    for (const [cpu, requests] of [
      [0, 5],
      [1, 3],
      [0, 2],
    ] as const) {
      machine.allocator.cpu = cpu;
      for (let i = 0; i < requests; i++) machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
    }
    expect(numa(machine.zone("Normal"))).toEqual({ numa_hit: 10, numa_local: 7, numa_other: 3 });
    expect(machine.allocator.events[VmEvent.pgalloc_normal]).toBe(10);
  });

  test.each([
    ["pgalloc_dma", GFP_KERNEL | Gfp.DMA],
    ["pgalloc_dma32", GFP_KERNEL | Gfp.DMA32],
    ["pgalloc_normal", GFP_KERNEL],
    ["pgalloc_movable", GFP_HIGHUSER_MOVABLE],
  ] as const)("%s counts the pages of that zone alone", (event, gfp) => {
    const machine = smallMachine({
      nodes: [{ DMA: ONE_BLOCK, DMA32: ONE_BLOCK, Normal: ONE_BLOCK, Movable: ONE_BLOCK }],
      pcp: PCP,
    });
    for (const order of [0, 0, 3, 5]) machine.allocator.allocPages(gfp, order, NODE);
    const { events } = machine.allocator;
    expect(events[VmEvent[event]]).toBe(2 + 8 + 32);
    expect(events.reduce((sum, count) => sum + count, 0)).toBe(2 + 8 + 32);
  });

  test("pgfree counts pages, to a cpu's list as to the buddy", () => {
    const { allocator } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const orders = [0, 0, 3, 5];
    const pages = orders.map((order) => allocator.allocPages(GFP_KERNEL, order, NODE));
    pages.forEach((page, i) => allocator.freePages(page, orders[i] ?? 0));
    expect(allocator.events[VmEvent.pgfree]).toBe(2 + 8 + 32);
  });

  test("a request that fails counts nothing", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    Object.assign(machine.normal.watermark, { min: 2000, low: 2000 });
    machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
    expect(numa(machine.normal)).toEqual({});
    expect(machine.allocator.events.every((count) => count === 0)).toBe(true);
  });
});
