import { assertInvariants, pfn } from "@hetmem/kernel";
import { describe, expect, test, vi } from "vitest";
import { type MemMap, pageInvariants, PageFlag, SectionFlag, sectionToPfn } from "../src/index.ts";
import { nth, smallMemMap } from "./small-memmap.ts";

const check = (memmap: MemMap) => (): void => assertInvariants(memmap, pageInvariants);

describe("the invariants of struct pages", () => {
  test("hold for fresh pages, free blocks and mapped pages", () => {
    const memmap = smallMemMap();
    const [free, mapped] = [nth(memmap, 8), nth(memmap, 9)];
    memmap.setRefcount(free, 0);
    memmap.lists.addFreeBlock(memmap.lists.create(), free, 0, 0, false);
    memmap.setRefcount(mapped, 2);
    memmap.setMapcount(mapped, 2);
    expect(check(memmap)).not.toThrow();
  });

  test("tell of a page that comes back as another frame", () => {
    const memmap = smallMemMap();
    vi.spyOn(memmap, "pageToPfn").mockImplementation((page) =>
      page === nth(memmap, 9) ? pfn(0x1234) : memmap.sections.pageToPfn(page),
    );
    expect(check(memmap)).toThrow("page and frame are inverse: frame 0x8009 comes back as 0x1234");
  });

  test.each([
    ["more mappings than references", 1, 2],
    ["negative references", -1, 0],
    ["negative mappings", 1, -1],
  ])("tell of a page with %s", (_, references, mappings) => {
    const memmap = smallMemMap();
    memmap.setRefcount(nth(memmap, 9), references);
    memmap.setMapcount(nth(memmap, 9), mappings);
    expect(check(memmap)).toThrow(
      "counts are not negative, and a mapped page is referenced: " +
        `page 0x8009 (refcount ${references}, mapcount ${mappings})`,
    );
  });

  test.each<[string, number, number]>([
    ["is referenced", 0, 1],
    ["is on an LRU", PageFlag.lru, 0],
    ["is reserved", PageFlag.reserved, 0],
    ["is a slab", PageFlag.slab, 0],
  ])("tell of a free block that %s", (_, flags, references) => {
    const memmap = smallMemMap();
    memmap.lists.addFreeBlock(memmap.lists.create(), nth(memmap, 9), 0, 0, false);
    memmap.set(nth(memmap, 9), flags);
    memmap.setRefcount(nth(memmap, 9), references);
    expect(check(memmap)).toThrow("a page in the buddy allocator has no user: page 0x8009");
  });

  test("pass over sections and pages that aren't initialised", () => {
    const memmap = smallMemMap([1, 2]);
    memmap.setRefcount(nth(memmap, 9), -1);
    memmap.poisonRange(nth(memmap, 10), 1);
    memmap.sections.clear(1, SectionFlag.initialised);
    expect(check(memmap)).not.toThrow();
    memmap.poisonRange(memmap.pfnToPage(sectionToPfn(2)), 5);
    expect(check(memmap)).not.toThrow();
  });
});
