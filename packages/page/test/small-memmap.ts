// The memmaps that these tests use: a few sections of struct pages, all of them initialised.
import { type NodeId, type Page, pfn } from "@hetmem/kernel";
import { expect } from "vitest";
import { MemMap, PAGES_PER_SECTION, SectionFlag, sectionToPfn } from "../src/index.ts";

export const NODE_0 = 0 as NodeId;
export const NODE_1 = 1 as NodeId;
/** The number of the zone that pages begin in. */
export const NORMAL = 2;

export const errno = (name: string): unknown => expect.objectContaining({ errno: name });

/** Room for these sections, all there, of node 0 and zone Normal; every page has one reference. */
export function smallMemMap(sections: readonly number[] = [1]): MemMap {
  const memmap = new MemMap({ maxPages: sections.length * PAGES_PER_SECTION, physicalBits: 46 });
  for (const section of sections) {
    memmap.sections.add(sectionToPfn(section), PAGES_PER_SECTION, NODE_0, SectionFlag.initialised);
    memmap.initRange(memmap.pfnToPage(sectionToPfn(section)), PAGES_PER_SECTION, NORMAL, 0, 1);
  }
  return memmap;
}

/** The struct page of the nth frame of section 1. */
export function nth(memmap: MemMap, n: number): Page {
  return memmap.pfnToPage(pfn(sectionToPfn(1) + n));
}
