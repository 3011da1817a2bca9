// The memmap grows with what is touched, and what grows beside it hears of that.
import type { Page, Pfn } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  grown,
  HostMemoryError,
  MemMap,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionTable,
  sectionToPfn,
} from "../src/index.ts";
import { expectFits, roomFor } from "../src/growth.ts";
import { MAX_PAGES } from "../src/layout.ts";
import { errno, NODE_0, NODE_1, NORMAL } from "./small-memmap.ts";

const MOST = 100 * PAGES_PER_SECTION;

test.each([
  [1, 1024],
  [1025, 2048],
  [PAGES_PER_SECTION + 1, 2 * PAGES_PER_SECTION],
  [2 * PAGES_PER_SECTION + 1, 16 * PAGES_PER_SECTION],
  [16 * PAGES_PER_SECTION, 16 * PAGES_PER_SECTION],
  [16 * PAGES_PER_SECTION + 1, MOST],
])("who needs %i pages gets room for %i", (needed, room) => {
  expect(roomFor(needed, MOST)).toBe(room);
});

test("room is never for more than there can be", () => {
  expect(roomFor(3 * PAGES_PER_SECTION, 4 * PAGES_PER_SECTION)).toBe(4 * PAGES_PER_SECTION);
  expect(roomFor(2049, 3072)).toBe(3072);
});

test("a memmap holds MAX_PAGES pages, and one more is ENOMEM", () => {
  expect(() => expectFits(MAX_PAGES)).not.toThrow();
  expect(() => expectFits(MAX_PAGES + 1)).toThrow(errno("ENOMEM"));
});

test("an array that is long enough stays the same; a longer one has what was in it", () => {
  const array = Int32Array.of(1, 2, 3);
  expect(grown(array, 3, "numbers")).toBe(array);
  expect(grown(array, 4, "numbers")).toEqual(Int32Array.of(1, 2, 3, 0, 0, 0));
});

test("struct pages, lists and contents survive every growth", () => {
  const memmap = new MemMap({ maxPages: 40 * PAGES_PER_SECTION, physicalBits: 46 });
  memmap.sections.addUntouched(1, 41, NODE_1, 0);
  const list = memmap.lists.create();
  const frames = Array.from({ length: 40 }, (_, i) => (sectionToPfn(40 - i) + i) as Pfn);
  for (const [i, frame] of frames.entries()) {
    const page = memmap.pfnToPage(frame);
    expect(memmap.initialised(page)).toBe(false);
    memmap.initRange(page, 1, NORMAL, 0, 1);
    memmap.setPrivate(page, i);
    memmap.moves.exchange(page, 0, 1);
    memmap.contents.write(page, 0, Uint8Array.of(i));
    memmap.lists.addTail(list, page);
  }
  const pages = frames.map((frame) => memmap.pfnToPage(frame));
  expect([...memmap.lists.pages(list)]).toEqual(pages);
  expect(pages.map((page) => memmap.private(page))).toEqual(frames.map((_, i) => i));
  expect(pages.map((page) => memmap.contents.bytes(page)?.[0])).toEqual(frames.map((_, i) => i));
  expect(pages.map((page) => [memmap.pageToPfn(page), memmap.nodeOf(page), memmap.flags(page) & 1])).toEqual(
    frames.map((frame) => [frame, NODE_1, 1]),
  );
});

test("a table beside the struct pages is told at once, and before a page with a new number can be had", () => {
  const memmap = new MemMap({ maxPages: 40 * PAGES_PER_SECTION, physicalBits: 46 });
  memmap.sections.add(sectionToPfn(0), PAGES_PER_SUBSECTION, NODE_0, 0);
  const told: number[] = [];
  memmap.addTable((pages) => told.push(pages));
  memmap.sections.add(sectionToPfn(3), PAGES_PER_SECTION, NODE_0, 0);
  memmap.sections.addUntouched(4, 5, NODE_0, 0);
  const last = memmap.pfnToPage(sectionToPfn(4)) + PAGES_PER_SECTION - 1;
  expect(told).toEqual([1024, 2 * PAGES_PER_SECTION, 16 * PAGES_PER_SECTION]);
  expect(memmap.initialised(last as Page)).toBe(false);
});

test("a section that the host has no room for stays as it was, and can be had later", () => {
  let room = 2 * PAGES_PER_SECTION;
  const sections = new SectionTable(8 * PAGES_PER_SECTION, 46, (pages) => {
    if (pages > room) throw new HostMemoryError(pages, "struct pages");
  });
  sections.addUntouched(1, 4, NODE_0, 0);
  sections.takeBack(3);
  const before = sections.pfnToPage(sectionToPfn(3));
  expect(() => sections.takeBack(2)).toThrow(HostMemoryError);
  expect(() => sections.add(sectionToPfn(9), PAGES_PER_SECTION, NODE_1, 0)).toThrow(HostMemoryError);
  expect([sections.present(), sections.isUntouched(2), sections.pfnToPage(sectionToPfn(3))]).toEqual([
    [1, 2, 3],
    true,
    before,
  ]);
  room = 4 * PAGES_PER_SECTION;
  sections.add(sectionToPfn(9), PAGES_PER_SECTION, NODE_1, 0);
  expect(new Set([before, sections.takeBack(2), sections.pfnToPage(sectionToPfn(9))]).size).toBe(3);
});
