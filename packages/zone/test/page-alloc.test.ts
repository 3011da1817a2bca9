// Page requests: which zone serves them, how deep they may dig, and what becomes of a page between two users.
import { KernelBug, nodeId, type Page, PAGE_SIZE } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { describe, expect, test } from "vitest";
import { Gfp, GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOWAIT, GFP_TRANSHUGE } from "../src/gfp.ts";
import { VmEvent } from "../src/vmstat.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MigrateType, ZoneType } from "../src/zone-type.ts";
import { exhaust, oneZone, type SmallMachine, smallMachine } from "@hetmem/test-machines/small-machine";

const NODE = nodeId(0);
const LARGEST = MAX_ORDER - 1;
const ONE_BLOCK = { pages: MAX_ORDER_NR_PAGES };
const PCP = { high: 32, batch: 8 };

/** Zone and node of a page: "Normal 0". */
function whereIs({ allocator }: SmallMachine, page: Page): string {
  if (page === NULL_PAGE) return "nowhere";
  const zone = allocator.zoneOf(page);
  return `${zone.name} ${zone.node}`;
}

describe("watermarks", () => {
  test("a request stays above the low mark of each zone before it digs down to the min marks", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }] });
    const zones = [machine.zone("Normal", 0), machine.zone("Normal", 1)] as const;
    for (const zone of zones) Object.assign(zone.watermark, { min: 1000, low: 1020 });
    const steps: number[][] = [];
    for (let i = 0; i < 49; i++) {
      machine.allocator.allocPages(GFP_KERNEL, 0, NODE);
      steps.push(zones.map((zone) => zone.freePages));
    }
    expect(steps[3]).toEqual([1020, 1024]);
    expect(steps[7]).toEqual([1020, 1020]);
    expect(steps[27]).toEqual([1000, 1020]);
    expect(steps[47]).toEqual([1000, 1000]);
    expect(steps[48]).toEqual([1000, 1000]);
  });

  test.each([
    ["GFP_KERNEL stops at the min mark", GFP_KERNEL, 501],
    ["GFP_NOWAIT, which isn't urgent, stops there too", GFP_NOWAIT, 501],
    ["__GFP_HIGH digs to half of it", GFP_KERNEL | Gfp.HIGH, 251],
    ["GFP_ATOMIC, which can't wait either, digs a quarter deeper", GFP_ATOMIC, 189],
    ["GFP_ATOMIC with __GFP_NOMEMALLOC doesn't", GFP_ATOMIC | Gfp.NOMEMALLOC, 251],
    ["__GFP_MEMALLOC takes the last page", GFP_KERNEL | Gfp.MEMALLOC, 0],
    ["__GFP_NOMEMALLOC overrules it", GFP_KERNEL | Gfp.MEMALLOC | Gfp.NOMEMALLOC, 501],
  ])("%s", (_, gfp, left) => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    Object.assign(machine.normal.watermark, { min: 501, low: 600 });
    exhaust(machine, gfp);
    expect(machine.normal.freePages).toBe(left);
  });

  test("__GFP_MEMALLOC goes to another node before it uses up the reserve of its own", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }] });
    Object.assign(machine.zone("Normal", 0).watermark, { min: 2000, low: 2000 });
    Object.assign(machine.zone("Normal", 1).watermark, { min: 0, low: 2000 });
    expect(whereIs(machine, machine.allocator.allocPages(Gfp.MEMALLOC, 0, NODE))).toBe("Normal 1");
  });

  test("a boosted mark holds requests off earlier", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    Object.assign(machine.normal.watermark, { min: 500, low: 500, boost: 100 });
    exhaust(machine, GFP_KERNEL);
    expect(machine.normal.freePages).toBe(600);
  });

  test("a large request leaves the mark whole behind itself", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES);
    const ask = (min: number): Page => {
      Object.assign(machine.normal.watermark, { min, low: min });
      return machine.allocator.allocPages(GFP_KERNEL, 3, NODE);
    };
    expect(ask(1017)).toBe(NULL_PAGE);
    expect(ask(1016)).not.toBe(NULL_PAGE);
  });

  test("a mark that rises holds the next request off, though one like it was served a moment ago", () => {
    const machine = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    expect(machine.allocator.allocPages(GFP_KERNEL, 0, NODE)).not.toBe(NULL_PAGE);
    Object.assign(machine.normal.watermark, { min: 1016, low: 1016 });
    expect(machine.allocator.allocPages(GFP_KERNEL, 0, NODE)).toBe(NULL_PAGE);
  });

  test("requests that could use Normal leave its reserve in DMA to those who need DMA", () => {
    const machine = smallMachine({ nodes: [{ DMA: ONE_BLOCK, Normal: ONE_BLOCK }] });
    machine.zone("DMA").setLowmemReserve(ZoneType.Normal, 1000);
    expect(exhaust(machine, GFP_KERNEL)).toBe(1024 + 24);
    expect(exhaust(machine, GFP_KERNEL | Gfp.DMA)).toBe(1000);
  });
});

describe("zonelists", () => {
  test("a full node's requests go to the others by distance, and then nowhere", () => {
    const machine = smallMachine({
      nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }],
      distance: [
        [10, 30, 20],
        [30, 10, 20],
        [20, 20, 10],
      ],
    });
    const ask = (): string => whereIs(machine, machine.allocator.allocPages(GFP_KERNEL, LARGEST, NODE));
    expect([ask(), ask(), ask(), ask()]).toEqual(["Normal 0", "Normal 2", "Normal 1", "nowhere"]);
  });

  test("__GFP_THISNODE gets nothing from other nodes", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK }, { Normal: ONE_BLOCK }] });
    const ask = (): string =>
      whereIs(machine, machine.allocator.allocPages(GFP_KERNEL | Gfp.THISNODE, LARGEST, nodeId(1)));
    expect([ask(), ask()]).toEqual(["Normal 1", "nowhere"]);
  });

  test.each([
    [
      "GFP_HIGHUSER_MOVABLE goes down from Movable",
      GFP_HIGHUSER_MOVABLE,
      ["Movable 0", "Normal 0", "DMA32 0", "DMA 0", "nowhere"],
    ],
    [
      "GFP_KERNEL goes down from Normal and never uses Movable",
      GFP_KERNEL,
      ["Normal 0", "DMA32 0", "DMA 0", "nowhere"],
    ],
    ["__GFP_DMA32 goes down from DMA32", GFP_KERNEL | Gfp.DMA32, ["DMA32 0", "DMA 0", "nowhere"]],
    ["__GFP_DMA uses DMA alone", GFP_KERNEL | Gfp.DMA, ["DMA 0", "nowhere"]],
  ])("%s", (_, gfp, zones) => {
    const machine = smallMachine({
      nodes: [{ DMA: ONE_BLOCK, DMA32: ONE_BLOCK, Normal: ONE_BLOCK, Movable: ONE_BLOCK }],
    });
    const served = zones.map(() => whereIs(machine, machine.allocator.allocPages(gfp, LARGEST, NODE)));
    expect(served).toEqual(zones);
  });

  test("a zone that joins the zonelist is used by requests that were served elsewhere before", () => {
    const machine = smallMachine({ nodes: [{ Normal: ONE_BLOCK, Movable: ONE_BLOCK }], pcp: PCP });
    const lists = machine.nodes[0]?.zonelists;
    if (!lists) throw new Error("node 0 is missing");
    const both = lists.fallback;
    lists.fallback = [machine.zone("Normal")];
    const ask = (): string => whereIs(machine, machine.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE));
    expect(ask()).toBe("Normal 0");
    lists.fallback = both;
    expect(ask()).toBe("Movable 0");
  });

  test("an allocation near a node that doesn't exist is a bug", () => {
    expect(() => oneZone(1024).allocator.allocPages(GFP_KERNEL, 0, nodeId(5))).toThrow(
      /near node 5, which does not exist/,
    );
  });

  test("an order above the largest is a bug, and nothing without a word for who asked for no warnings", () => {
    const { allocator } = oneZone(MAX_ORDER_NR_PAGES);
    expect(() => allocator.allocPages(GFP_KERNEL, MAX_ORDER, NODE)).toThrow(KernelBug);
    expect(() => allocator.allocPages(Gfp.MEMALLOC, MAX_ORDER, NODE)).toThrow(/order 11.*has order 10/);
    expect(allocator.allocPages(GFP_KERNEL | Gfp.NOWARN, MAX_ORDER, NODE)).toBe(NULL_PAGE);
  });

  test("an order above the largest is refused before untouched memory is looked at", () => {
    const machine = smallMachine({ nodes: [{ Normal: { deferredSections: 1 } }] });
    machine.allocator.allocPages(GFP_KERNEL | Gfp.NOWARN, MAX_ORDER, NODE);
    expect(machine.zone("Normal").deferred.sections()).toEqual([1]);
  });
});

describe("pages", () => {
  test("a compound page has its reference and order in the head, and its tails know the head", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES);
    const head = allocator.allocPages(GFP_KERNEL | Gfp.COMP, 3, NODE);
    const pages = Array.from({ length: 8 }, (_, i) => (head + i) as Page);
    expect(pages.map((page) => memmap.compoundHead(page))).toEqual(pages.map(() => head));
    expect(pages.map((page) => memmap.refcount(page))).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
    expect([memmap.compoundOrder(head), memmap.compoundHead((head + 8) as Page)]).toEqual([3, head + 8]);
  });

  test("without __GFP_COMP the pages have nothing in common", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES);
    const first = allocator.allocPages(GFP_KERNEL, 1, NODE);
    expect([memmap.compoundOrder(first), memmap.compoundHead((first + 1) as Page)]).toEqual([0, first + 1]);
  });

  test("a freed compound page falls into single pages again", () => {
    const { allocator, memmap, normal } = oneZone(MAX_ORDER_NR_PAGES);
    const head = allocator.allocPages(GFP_TRANSHUGE, 9, NODE);
    allocator.freePages(head, 9);
    expect(normal.freePages).toBe(MAX_ORDER_NR_PAGES);
    expect(memmap.test((head + 511) as Page, PageFlag.tail)).toBe(false);
    const again = allocator.allocPages(GFP_KERNEL, 9, NODE);
    expect([memmap.compoundOrder(again), memmap.compoundHead((again + 1) as Page)]).toEqual([0, again + 1]);
  });

  test.each([
    ["a page from a cpu's list", { pcp: PCP }, 0],
    ["a page from the buddy", {}, 0],
    ["the last page of a block", {}, 2],
  ])("%s that was written and freed reads as zeros", (_, options, order) => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES, options);
    const page = allocator.allocPages(GFP_KERNEL, order, NODE);
    const last = (page + (1 << order) - 1) as Page;
    memmap.contents.write(last, 100, Uint8Array.of(1, 2, 3));
    allocator.freePages(page, order);
    expect(allocator.allocPages(GFP_KERNEL, order, NODE)).toBe(page);
    const bytes = new Uint8Array(PAGE_SIZE).fill(9);
    memmap.contents.read(last, 0, bytes);
    expect(bytes).toEqual(new Uint8Array(PAGE_SIZE));
  });

  test("a page loses its flags, its mapping and its private word with its last user", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    memmap.set(page, PageFlag.dirty | PageFlag.referenced | PageFlag.uptodate | PageFlag.swapbacked);
    memmap.setMapping(page, 77);
    memmap.setPrivate(page, 88);
    allocator.freePages(page, 0);
    const left = PageFlag.dirty | PageFlag.referenced | PageFlag.uptodate | PageFlag.swapbacked;
    expect([memmap.test(page, left), memmap.mapping(page), memmap.private(page)]).toEqual([false, 0, 0]);
  });

  test("who looks at the first page while its block is freed keeps that page, and no other", () => {
    const { allocator, memmap, normal } = oneZone(MAX_ORDER_NR_PAGES);
    const page = allocator.allocPages(GFP_KERNEL, 3, NODE);
    memmap.getPage(page);
    allocator.freePages(page, 3);
    expect([normal.freePages, memmap.refcount(page)]).toEqual([MAX_ORDER_NR_PAGES - 1, 1]);
    allocator.freePages(page, 0);
    expect([normal.freePages, normal.free.blocks(LARGEST, MigrateType.Unmovable)]).toEqual([1024, 1]);
  });

  test("who looks at a compound page while it is freed keeps all of it", () => {
    const { allocator, memmap, normal } = oneZone(MAX_ORDER_NR_PAGES);
    const page = allocator.allocPages(GFP_KERNEL | Gfp.COMP, 3, NODE);
    memmap.getPage(page);
    allocator.freePages(page, 3);
    expect([normal.freePages, memmap.refcount(page)]).toEqual([MAX_ORDER_NR_PAGES - 8, 1]);
  });

  test.each([
    ["cpu's list", { pcp: PCP }, 0],
    ["buddy", {}, 0],
    ["buddy in a block", {}, 5],
  ])("a page that went back to the %s and is freed again is a bug", (_, options, order) => {
    const { allocator } = oneZone(MAX_ORDER_NR_PAGES, options);
    const page = allocator.allocPages(GFP_KERNEL, order, NODE);
    allocator.freePages(page, order);
    expect(() => allocator.freePages(page, order)).toThrow(/without a reference/);
  });

  const BAD = [
    "lru",
    "locked",
    "private",
    "writeback",
    "reserved",
    "slab",
    "active",
    "unevictable",
    "mlocked",
    "isolated",
  ] as const;

  test.each(BAD)("a page that is freed while it is %s is a bug that names the flag", (flag) => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    memmap.set(page, PageFlag[flag]);
    expect(() => allocator.freePages(page, 0)).toThrow(new RegExp(`bad page freed: .*${flag}`));
  });

  test.each(BAD)("a block with a page behind the first that is %s is a bug", (flag) => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES);
    const page = allocator.allocPages(GFP_KERNEL, 2, NODE);
    memmap.set((page + 3) as Page, PageFlag[flag]);
    expect(() => allocator.freePages(page, 2)).toThrow(new RegExp(`bad page freed: .*${flag}`));
  });

  test("a page that is freed while page tables map it is a bug", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    memmap.setMapcount(page, 2);
    expect(() => allocator.freePages(page, 0)).toThrow(/bad page freed: .*mapcount 2/);
  });

  test("a page whose references aren't all gone can't be freed as one that nobody holds", () => {
    const { allocator } = oneZone(MAX_ORDER_NR_PAGES);
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    expect(() => allocator.freeUnrefPages(page, 0)).toThrow(/bad page freed: .*refcount 1/);
  });

  test("a page table that still maps a freed page is found out when the page is handed out", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    allocator.freePages(page, 0);
    memmap.setMapcount(page, 1);
    expect(() => allocator.allocPages(GFP_KERNEL, 0, NODE)).toThrow(/handed out while it is in use/);
  });

  test("a part of a compound page can't be freed alone, nor the whole with another order", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES);
    const head = allocator.allocPages(GFP_KERNEL | Gfp.COMP, 3, NODE);
    expect(() => allocator.freeUnrefPages((head + 1) as Page, 0)).toThrow(/part of a compound page freed/);
    memmap.setRefcount(head, 0);
    expect(() => allocator.freeUnrefPages(head, 0)).toThrow(/part of a compound page freed/);
    expect(() => allocator.freeUnrefPages(head, 2)).toThrow(/part of a compound page freed/);
  });

  test("a tail that has lost its head is found out when the compound page is freed", () => {
    const { allocator, memmap } = oneZone(MAX_ORDER_NR_PAGES);
    const head = allocator.allocPages(GFP_KERNEL | Gfp.COMP, 3, NODE);
    memmap.clear((head + 3) as Page, PageFlag.tail);
    expect(() => allocator.freePages(head, 3)).toThrow(/bad page freed/);
  });

  test("a broken page goes nowhere when it is freed, and isn't counted", () => {
    const { allocator, memmap, normal } = oneZone(MAX_ORDER_NR_PAGES, { pcp: PCP });
    const page = allocator.allocPages(GFP_KERNEL, 0, NODE);
    const before = [normal.freePages, normal.pcp[0]?.count];
    memmap.set(page, PageFlag.hwpoison);
    allocator.freePages(page, 0);
    expect([normal.freePages, normal.pcp[0]?.count]).toEqual(before);
    expect([memmap.refcount(page), memmap.test(page, PageFlag.hwpoison)]).toEqual([0, true]);
    expect(allocator.events[VmEvent.pgfree]).toBe(0);
  });
});
