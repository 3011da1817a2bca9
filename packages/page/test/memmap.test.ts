import { KernelBug, type Page } from "@hetmem/kernel";
import { describe, expect, test, vi } from "vitest";
import {
  MAX_PAGES,
  MemMap,
  NO_ZONE,
  NULL_PAGE,
  PageFlag,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionFlag,
  sectionToPfn,
} from "../src/index.ts";
import { errno, NODE_0, NODE_1, NORMAL, nth, smallMemMap } from "./small-memmap.ts";

const BAD = PageFlag.lru;
const DROPPED = PageFlag.dirty | PageFlag.uptodate;

/** A memmap with a section that nobody has initialised, and a page of it. */
function added(): [MemMap, Page] {
  const memmap = new MemMap({ maxPages: PAGES_PER_SECTION, physicalBits: 46 });
  memmap.sections.add(sectionToPfn(1), PAGES_PER_SECTION, NODE_0, SectionFlag.online);
  return [memmap, nth(memmap, 3)];
}

/** A page with a flag of each kind, an owner, a private word and contents. */
function used(): [MemMap, Page] {
  const memmap = smallMemMap();
  const page = nth(memmap, 1);
  memmap.set(page, PageFlag.dirty | PageFlag.hwpoison);
  memmap.setMapping(page, 5);
  memmap.setPrivate(page, 6);
  memmap.contents.write(page, 0, Uint8Array.of(1));
  return [memmap, page];
}

/** The fields that the last user of such a page leaves set. */
function traces(memmap: MemMap, page: Page): unknown {
  return [
    memmap.test(page, DROPPED),
    memmap.test(page, PageFlag.hwpoison),
    memmap.mapping(page),
    memmap.private(page),
    memmap.contents.bytes(page)?.[0],
  ];
}

describe("a memmap", () => {
  test("of more than 2 TiB of pages is refused before any memory is asked for", () => {
    const options = { maxPages: MAX_PAGES + 1, physicalBits: 52 };
    expect(() => new MemMap(options)).toThrow(errno("ENOMEM"));
  });

  test("knows the frame and the node of a page", () => {
    const memmap = smallMemMap();
    memmap.sections.setNode(sectionToPfn(1), PAGES_PER_SUBSECTION, NODE_1);
    const page = nth(memmap, 17);
    expect(memmap.pageToPfn(page)).toBe(sectionToPfn(1) + 17);
    expect([memmap.nodeOf(page), memmap.nodeOf(nth(memmap, PAGES_PER_SUBSECTION))]).toEqual([1, 0]);
    expect(memmap.pfnValid(sectionToPfn(1))).toBe(true);
  });
});

describe("initialising struct pages", () => {
  test("leaves nothing of what was in them", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    const fresh = memmap.copyOf(page);
    memmap.set(page, PageFlag.lru | PageFlag.dirty);
    memmap.setRefcount(page, 9);
    memmap.setMapcount(page, 8);
    memmap.setMapping(page, 7);
    memmap.setIndex(page, 6);
    memmap.setPrivate(page, 5);
    memmap.lists.addTail(memmap.lists.create(), page);
    memmap.initRange(page, 1, NORMAL, 0, 1);
    expect(memmap.copyOf(page)).toEqual(fresh);
    expect(memmap.lists.linked(page)).toBe(false);
  });

  test("says the zone, the flags and the references, of these pages and no others", () => {
    const memmap = smallMemMap();
    memmap.initRange(nth(memmap, 10), 2, NO_ZONE, PageFlag.reserved, 0);
    const pages = [9, 10, 11, 12].map((n) => nth(memmap, n));
    expect(pages.map((page) => memmap.zoneOf(page))).toEqual([NORMAL, NO_ZONE, NO_ZONE, NORMAL]);
    expect(pages.map((page) => memmap.test(page, PageFlag.reserved))).toEqual([false, true, true, false]);
    expect(pages.map((page) => memmap.refcount(page))).toEqual([1, 0, 0, 1]);
  });

  test("of zone 0 without flags is initialisation too", () => {
    const memmap = smallMemMap();
    memmap.initRange(nth(memmap, 1), 1, 0, 0, 1);
    expect(memmap.initialised(nth(memmap, 1))).toBe(true);
    expect(memmap.zoneOf(nth(memmap, 1))).toBe(0);
  });
});

describe("a struct page that nobody has initialised (the lesson of 2018)", () => {
  const readers: [string, (memmap: MemMap, page: Page) => unknown][] = [
    ["its flags are read", (memmap, page) => memmap.flags(page)],
    ["a flag is tested", (memmap, page) => memmap.test(page, PageFlag.reserved)],
    ["a flag is set", (memmap, page) => memmap.set(page, PageFlag.lru)],
    ["a flag is cleared", (memmap, page) => memmap.clear(page, PageFlag.lru)],
    ["its zone is asked for", (memmap, page) => memmap.zoneOf(page)],
    ["its compound head is asked for", (memmap, page) => memmap.compoundHead(page)],
    ["a reference is taken", (memmap, page) => memmap.getPage(page)],
    ["a reference is dropped", (memmap, page) => memmap.putPage(page)],
  ];

  test.each(readers)("is caught when %s", (_, read) => {
    const [memmap, page] = added();
    expect(memmap.initialised(page)).toBe(false);
    expect(() => read(memmap, page)).toThrow(KernelBug);
    expect(memmap.copyOf(page)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("is named by its frame", () => {
    const [memmap, page] = added();
    expect(() => memmap.flags(page)).toThrow(
      "the struct page of frame 0x8003 is read before it is initialised",
    );
  });

  test("is what a page becomes again when its memory is removed, and its neighbours don't", () => {
    const memmap = smallMemMap();
    memmap.poisonRange(nth(memmap, 10), 2);
    expect([9, 10, 11, 12].map((n) => memmap.initialised(nth(memmap, n)))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(() => memmap.flags(nth(memmap, 11))).toThrow(KernelBug);
  });
});

describe("flags", () => {
  test("are set and cleared without touching each other or the zone", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    memmap.set(page, PageFlag.lru | PageFlag.dirty | PageFlag.tail);
    memmap.clear(page, PageFlag.dirty);
    const flags = [PageFlag.lru, PageFlag.dirty, PageFlag.tail, PageFlag.locked];
    expect(flags.map((flag) => memmap.test(page, flag))).toEqual([true, false, true, false]);
    expect(memmap.zoneOf(page)).toBe(NORMAL);
  });

  test("are a bit each, and none is a bit of the zone", () => {
    const bits = Object.values(PageFlag);
    expect(new Set(bits).size).toBe(bits.length);
    for (const bit of bits) {
      expect(bit & (bit - 1)).toBe(0);
      const memmap = smallMemMap();
      memmap.set(nth(memmap, 1), bit);
      expect(memmap.zoneOf(nth(memmap, 1))).toBe(NORMAL);
    }
  });
});

describe("the words of a struct page", () => {
  test("are eight, a field each", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    memmap.setRefcount(page, 11);
    memmap.setMapcount(page, 12);
    memmap.setMapping(page, 15);
    memmap.setIndex(page, 16);
    memmap.setPrivate(page, 17);
    const words = memmap.copyOf(page);
    expect([words[1], words[2], words[5], words[6], words[7]]).toEqual([11, 12, 15, 16, 17]);
    expect([
      memmap.refcount(page),
      memmap.mapcount(page),
      memmap.mapping(page),
      memmap.index(page),
      memmap.private(page),
    ]).toEqual([11, 12, 15, 16, 17]);
  });
});

describe("references", () => {
  test("are counted, and the last one gives the page to its zone's port, once", () => {
    const memmap = smallMemMap();
    const [normal, movable] = [vi.fn<(page: Page) => void>(), vi.fn<(page: Page) => void>()];
    memmap.setFreePage(NORMAL, normal);
    memmap.setFreePage(NORMAL + 1, movable);
    const page = nth(memmap, 1);
    memmap.getPage(page);
    memmap.putPage(page);
    expect(normal).not.toHaveBeenCalled();
    memmap.putPage(page);
    expect(normal.mock.calls).toEqual([[page]]);
    expect(movable).not.toHaveBeenCalled();
    expect(memmap.refcount(page)).toBe(0);
  });

  test("of a zone whose pages may be idle with one give the port every put that leaves one or none", () => {
    const memmap = smallMemMap();
    const port = vi.fn<(page: Page) => void>();
    const ram = vi.fn<(page: Page) => void>();
    memmap.setFreePage(NORMAL, ram);
    memmap.setFreePage(NORMAL + 2, port, 1);
    const page = nth(memmap, 1);
    memmap.initRange(page, 1, NORMAL + 2, 0, 3);
    memmap.putPage(page);
    expect(port).not.toHaveBeenCalled();
    memmap.putPage(page);
    memmap.putPage(page);
    expect(port.mock.calls).toEqual([[page], [page]]);
    expect(() => memmap.putPage(page)).toThrow(KernelBug);
    memmap.getPage(nth(memmap, 2));
    memmap.putPage(nth(memmap, 2));
    expect(ram).not.toHaveBeenCalled();
  });

  test("are counted over a range by how many pages have more than so many", () => {
    const memmap = smallMemMap();
    for (const n of [0, 5, 9, 10]) memmap.getPage(nth(memmap, n));
    memmap.getPage(nth(memmap, 5));
    expect(memmap.countReferenced(nth(memmap, 0), 10, 1)).toBe(3);
    expect(memmap.countReferenced(nth(memmap, 0), 11, 2)).toBe(1);
    expect(memmap.countReferenced(nth(memmap, 0), PAGES_PER_SECTION, 0)).toBe(PAGES_PER_SECTION);
  });

  test("can't be taken on a page that nobody holds: it may be somebody else's already", () => {
    const memmap = smallMemMap();
    memmap.setRefcount(nth(memmap, 1), 0);
    expect(() => memmap.getPage(nth(memmap, 1))).toThrow("get_page of frame 0x8001 with refcount 0");
    expect(memmap.refcount(nth(memmap, 1))).toBe(0);
  });

  test("can't be dropped where there are none, and the port isn't called", () => {
    const memmap = smallMemMap();
    const port = vi.fn<(page: Page) => void>();
    memmap.setFreePage(NORMAL, port);
    memmap.setRefcount(nth(memmap, 1), 0);
    expect(() => memmap.putPage(nth(memmap, 1))).toThrow("put_page of frame 0x8001 without a reference");
    expect(memmap.refcount(nth(memmap, 1))).toBe(0);
    expect(port).not.toHaveBeenCalled();
  });

  test("of a page whose zone nobody serves can't be dropped to none", () => {
    const memmap = smallMemMap();
    expect(() => memmap.putPage(nth(memmap, 1))).toThrow(KernelBug);
  });

  test("are taken by get_page_unless_zero() only where there is one", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    expect(memmap.getPageUnlessZero(page)).toBe(true);
    expect(memmap.refcount(page)).toBe(2);
    memmap.setRefcount(page, 0);
    expect(memmap.getPageUnlessZero(page)).toBe(false);
    expect(memmap.refcount(page)).toBe(0);
  });

  test("are dropped by put_page_testzero(), which says when the last is gone and frees nothing", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    memmap.getPage(page);
    expect([memmap.putPageTestzero(page), memmap.putPageTestzero(page)]).toEqual([false, true]);
    expect(() => memmap.putPageTestzero(page)).toThrow(KernelBug);
  });

  test("begin with one, for a page that nobody uses", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 1);
    expect(() => memmap.setPageRefcounted(page)).toThrow("handed out while it is in use");
    memmap.setRefcount(page, 0);
    memmap.setMapcount(page, 1);
    expect(() => memmap.setPageRefcounted(page)).toThrow(KernelBug);
    memmap.setMapcount(page, 0);
    memmap.setPageRefcounted(page);
    expect(memmap.refcount(page)).toBe(1);
  });
});

describe("a page on its way to the free lists", () => {
  test("loses what its last user left when its only reference is released, and keeps its zone", () => {
    const [memmap, page] = used();
    expect(memmap.release(page, BAD, DROPPED)).toBe(NORMAL);
    expect(memmap.refcount(page)).toBe(0);
    expect(traces(memmap, page)).toEqual([false, true, 0, 0, undefined]);
    expect(memmap.zoneOf(page)).toBe(NORMAL);
  });

  test("loses what its last user left when it is stripped", () => {
    const [memmap, page] = used();
    memmap.setRefcount(page, 0);
    const had = memmap.flags(page);
    expect(memmap.strip(page, BAD, DROPPED)).toBe(had);
    expect(traces(memmap, page)).toEqual([false, true, 0, 0, undefined]);
  });

  test.each<[string, (memmap: MemMap, page: Page) => void]>([
    ["has a flag that it must not have", (memmap, page) => memmap.set(page, PageFlag.lru)],
    ["is mapped", (memmap, page) => memmap.setMapcount(page, 1)],
    ["somebody else holds", (memmap, page) => memmap.getPage(page)],
  ])("is left alone when it is one that %s", (_, spoil) => {
    const [memmap, page] = used();
    spoil(memmap, page);
    const before = memmap.copyOf(page);
    expect(memmap.release(page, BAD, DROPPED)).toBe(-1);
    memmap.putPageTestzero(page);
    expect(memmap.strip(page, BAD, DROPPED)).toBe(0);
    expect(memmap.copyOf(page).with(1, 0)).toEqual(before.with(1, 0));
    expect(traces(memmap, page)).toEqual([true, true, 5, 6, 1]);
  });
});

describe("a compound page", () => {
  test("is found from its tails, and its order is its head's", () => {
    const memmap = smallMemMap();
    const [head, tail, other] = [nth(memmap, 8), nth(memmap, 9), nth(memmap, 12)];
    memmap.set(head, PageFlag.head);
    memmap.setPrivate(head, 2);
    memmap.set(tail, PageFlag.tail);
    memmap.setPrivate(tail, head);
    memmap.setPrivate(other, 77);
    expect([head, tail, other].map((page) => memmap.compoundHead(page))).toEqual([head, head, other]);
    expect([head, tail, other].map((page) => memmap.compoundOrder(page))).toEqual([2, 0, 0]);
  });
});

describe("a page of ZONE_DEVICE", () => {
  test("is reserved and knows its pagemap, where other pages are linked to lists", () => {
    const memmap = smallMemMap();
    const device = NORMAL + 2;
    memmap.initDeviceRange(nth(memmap, 512), 1000, { zone: device, pagemap: 77, references: 0 });
    for (const n of [512, 513, 1511]) {
      const page = nth(memmap, n);
      expect([memmap.zoneOf(page), memmap.pagemap(page), memmap.refcount(page)]).toEqual([device, 77, 0]);
      expect(memmap.test(page, PageFlag.reserved)).toBe(true);
      expect([memmap.mapcount(page), memmap.mapping(page), memmap.private(page)]).toEqual([0, 0, 0]);
    }
    expect([511, 1512].map((n) => memmap.zoneOf(nth(memmap, n)))).toEqual([NORMAL, NORMAL]);
  });

  test("can't be put on a list", () => {
    const memmap = smallMemMap();
    memmap.initDeviceRange(nth(memmap, 0), 1, { zone: NORMAL + 2, pagemap: 77, references: 1 });
    expect(() => memmap.lists.addTail(memmap.lists.create(), nth(memmap, 0))).toThrow(KernelBug);
  });
});

describe("a deferred section of a device", () => {
  const DEVICE = { zone: NORMAL + 2, pagemap: 77, references: 1 };

  function deferred(): MemMap {
    const memmap = new MemMap({ maxPages: 2 * PAGES_PER_SECTION, physicalBits: 46 });
    memmap.sections.addSections(1, 3, NODE_1, 0);
    for (const section of [1, 2]) memmap.deferSection(section, DEVICE);
    return memmap;
  }

  test("has valid frames, and is written whole at the first look at one of them", () => {
    const memmap = deferred();
    expect(memmap.pfnValid(sectionToPfn(1))).toBe(true);
    expect([1, 2].map((section) => memmap.isDeferred(section))).toEqual([true, true]);
    const page = nth(memmap, 5);
    expect([1, 2].map((section) => memmap.isDeferred(section))).toEqual([false, true]);
    expect(memmap.sections.has(1, SectionFlag.initialised)).toBe(true);
    for (const other of [page, nth(memmap, 0), nth(memmap, PAGES_PER_SECTION - 1)]) {
      expect([memmap.zoneOf(other), memmap.pagemap(other), memmap.refcount(other)]).toEqual([
        NORMAL + 2,
        77,
        1,
      ]);
      expect(memmap.nodeOf(other)).toBe(NODE_1);
    }
  });

  test("is written once: what its pages have become stays", () => {
    const memmap = deferred();
    memmap.getPage(nth(memmap, 5));
    expect(memmap.refcount(nth(memmap, 5))).toBe(2);
  });

  test("goes without having been written, and its slot can be another's", () => {
    const memmap = deferred();
    memmap.removeRange(sectionToPfn(1), PAGES_PER_SECTION);
    expect([memmap.isDeferred(1), memmap.pfnValid(sectionToPfn(1))]).toEqual([false, false]);
    expect(nth(memmap, 0)).toBe(NULL_PAGE);
    memmap.sections.add(sectionToPfn(9), PAGES_PER_SECTION, NODE_0, 0);
    expect(memmap.initialised(memmap.pfnToPage(sectionToPfn(9)))).toBe(false);
  });

  test("must have struct pages", () => {
    expect(() => deferred().deferSection(7, DEVICE)).toThrow(KernelBug);
  });

  test("is written as it was deferred last, be it RAM", () => {
    const memmap = deferred();
    memmap.deferSection(1, { zone: NO_ZONE, state: PageFlag.reserved, references: 0 });
    const page = nth(memmap, 7);
    expect([memmap.zoneOf(page), memmap.refcount(page), memmap.test(page, PageFlag.reserved)]).toEqual([
      NO_ZONE,
      0,
      true,
    ]);
  });

  test("can be had back unwritten", () => {
    const memmap = deferred();
    const first = memmap.undefer(1);
    expect(first).toBe(nth(memmap, 0));
    expect(memmap.initialised(first)).toBe(false);
    expect(() => memmap.undefer(1)).toThrow(KernelBug);
  });
});
