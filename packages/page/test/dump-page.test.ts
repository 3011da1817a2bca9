import { SimulatedClock, KernelLog, pfn } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  describePage,
  dumpPage,
  MemMap,
  PageFlag,
  PAGES_PER_SECTION,
  SectionFlag,
  sectionToPfn,
} from "../src/index.ts";
import { NODE_1, NORMAL, nth, smallMemMap } from "./small-memmap.ts";

function dumped(memmap: MemMap, n: number): string[] {
  const log = new KernelLog(new SimulatedClock());
  dumpPage(log, memmap, nth(memmap, n), "unmovable page");
  expect(log.records.every(({ level }) => level === 4)).toBe(true);
  return log.records.map(({ text }) => text);
}

describe("a page in words", () => {
  test("is its frame, its counts and its flags", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 0x40);
    memmap.set(page, PageFlag.dirty | PageFlag.lru);
    memmap.setRefcount(page, 3);
    memmap.setMapcount(page, 2);
    expect(describePage(memmap, page)).toBe("page 0x8040 (refcount 3, mapcount 2; dirty|lru)");
  });

  test("has no flags to name when it has none", () => {
    const memmap = smallMemMap();
    expect(describePage(memmap, nth(memmap, 0x40))).toBe("page 0x8040 (refcount 1, mapcount 0)");
  });

  test("can be named before it is initialised: that is when messages need it", () => {
    const memmap = smallMemMap();
    memmap.poisonRange(nth(memmap, 0x40), 1);
    expect(describePage(memmap, nth(memmap, 0x40))).toBe("page 0x8040 (struct page not initialised)");
  });
});

describe("dump_page", () => {
  test("prints the page as the kernel does, and why", () => {
    const memmap = smallMemMap();
    memmap.sections.setNode(sectionToPfn(1), PAGES_PER_SECTION, NODE_1);
    const page = nth(memmap, 0x40);
    memmap.set(page, PageFlag.dirty | PageFlag.lru | PageFlag.anonExclusive);
    memmap.setRefcount(page, 3);
    memmap.setMapcount(page, 2);
    memmap.setMapping(page, 0xabc);
    memmap.setIndex(page, 0x7f);
    memmap.setPrivate(page, -1);
    expect(dumped(memmap, 0x40)).toEqual([
      "page:ffffea0000201000 refcount:3 mapcount:2 mapping:0000000000000abc index:0x7f pfn:0x8040",
      "flags: 0x50800018(dirty|lru|node=1|zone=2|lastcpupid=0x7ff)",
      "raw: 0000000050800018 0000000000000003 0000000000000002 0000000080000100",
      "raw: 0000000080000122 0000000000000abc 000000000000007f 00000000ffffffff",
      "page dumped because: unmovable page",
    ]);
  });

  test("prints a page that isn't initialised instead of stumbling over it", () => {
    const memmap = smallMemMap();
    memmap.poisonRange(nth(memmap, 0x40), 1);
    expect(dumped(memmap, 0x40)).toEqual([
      "page:ffffea0000201000 is uninitialized and poisoned",
      "page dumped because: unmovable page",
    ]);
  });

  test.each([
    [46, "page:ffffeaffffffffc0 "],
    [52, "page:ffd43fffffffffc0 "],
  ])("has a struct page address of 16 digits at the top of %i bits", (bits, start) => {
    const memmap = new MemMap({ maxPages: PAGES_PER_SECTION, physicalBits: bits });
    const first = sectionToPfn(2 ** (bits - 27) - 1);
    memmap.sections.add(first, PAGES_PER_SECTION, NODE_1, SectionFlag.online);
    memmap.initRange(memmap.pfnToPage(first), PAGES_PER_SECTION, NORMAL, 0, 1);
    const log = new KernelLog(new SimulatedClock());
    dumpPage(log, memmap, memmap.pfnToPage(pfn(first + PAGES_PER_SECTION - 1)), "it is the last");
    expect(log.records[0]?.text.slice(0, start.length)).toBe(start);
  });
});
