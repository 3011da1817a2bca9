import { KernelBug, type Pfn, pfn } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  NULL_PAGE,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionFlag,
  sectionOfPfn,
  SectionTable,
  sectionToPfn,
  SUBSECTIONS_PER_SECTION,
} from "../src/index.ts";
import { errno, NODE_0, NODE_1 } from "./small-memmap.ts";

const table = (sections: number, physicalBits = 46): SectionTable =>
  new SectionTable(sections * PAGES_PER_SECTION, physicalBits);
const subsection = (section: number, number: number): Pfn =>
  pfn(sectionToPfn(section) + number * PAGES_PER_SUBSECTION);
const lastOf = (section: number): Pfn => pfn(sectionToPfn(section + 1) - 1);
const slotOf = (sections: SectionTable, section: number): number =>
  sections.pfnToPage(sectionToPfn(section)) / PAGES_PER_SECTION;

/** All that a table says of its first sections. */
function stateOf(sections: SectionTable): unknown {
  const numbers = Array.from({ length: 10 }, (_, section) => section);
  return {
    present: sections.present(),
    count: sections.presentCount,
    pages: numbers.map((section) => sections.pfnToPage(sectionToPfn(section))),
    valid: numbers.map((section) => validSubsections(sections, section)),
  };
}

function validSubsections(sections: SectionTable, section: number): number[] {
  const numbers = Array.from({ length: SUBSECTIONS_PER_SECTION }, (_, number) => number);
  return numbers.filter((number) => sections.pfnValid(subsection(section, number)));
}

describe("a section", () => {
  test("that was never added has no struct page and no valid frame", () => {
    const sections = table(2);
    expect(sections.pfnToPage(sectionToPfn(5))).toBe(NULL_PAGE);
    expect(sections.pfnValid(sectionToPfn(5))).toBe(false);
    expect(sections.isWhole(5)).toBe(false);
    expect(sections.has(5, SectionFlag.present)).toBe(false);
  });

  test("that is there whole has a valid frame first and last, and none beside it", () => {
    const sections = table(2);
    sections.add(sectionToPfn(5), PAGES_PER_SECTION, NODE_0, SectionFlag.early);
    const frames = [pfn(sectionToPfn(5) - 1), sectionToPfn(5), lastOf(5), sectionToPfn(6)];
    expect(frames.map((frame) => sections.pfnValid(frame))).toEqual([false, true, true, false]);
    expect(sections.isWhole(5)).toBe(true);
  });

  test("has struct pages that follow each other", () => {
    const sections = table(2);
    sections.add(sectionToPfn(5), PAGES_PER_SECTION, NODE_0, 0);
    const first = sections.pfnToPage(sectionToPfn(5));
    expect(sections.pfnToPage(lastOf(5))).toBe(first + PAGES_PER_SECTION - 1);
    expect(sections.pageToPfn(first)).toBe(sectionToPfn(5));
  });

  test("keeps its flags apart from those of others, and loses them one at a time", () => {
    const sections = table(2);
    sections.addSections(1, 3, NODE_0, SectionFlag.early);
    sections.set(1, SectionFlag.online);
    sections.clear(1, SectionFlag.early);
    const flags = [SectionFlag.present, SectionFlag.online, SectionFlag.early];
    expect([1, 2].map((section) => flags.map((flag) => sections.has(section, flag)))).toEqual([
      [true, true, false],
      [true, false, true],
    ]);
  });

  test("without struct pages can't be given flags or a node", () => {
    const sections = table(2);
    expect(() => sections.set(4, SectionFlag.online)).toThrow(KernelBug);
    expect(() => sections.clear(4, SectionFlag.online)).toThrow(KernelBug);
    expect(() => sections.setNode(sectionToPfn(4), PAGES_PER_SECTION, NODE_1)).toThrow(KernelBug);
  });
});

describe("subsections", () => {
  test("can be added alone: device memory shares a section with RAM", () => {
    const sections = table(2);
    sections.add(subsection(3, 30), 4 * PAGES_PER_SUBSECTION, NODE_0, 0);
    expect(validSubsections(sections, 3)).toEqual([30, 31, 32, 33]);
    expect(sections.isWhole(3)).toBe(false);
  });

  test("share the slot of their section", () => {
    const sections = table(1);
    sections.add(subsection(3, 0), 32 * PAGES_PER_SUBSECTION, NODE_0, 0);
    sections.add(subsection(3, 32), 32 * PAGES_PER_SUBSECTION, NODE_0, 0);
    expect(sections.isWhole(3)).toBe(true);
    expect(sections.presentCount).toBe(1);
  });

  test("belong to a node each", () => {
    const sections = table(1);
    sections.add(subsection(3, 0), 10 * PAGES_PER_SUBSECTION, NODE_0, 0);
    sections.add(subsection(3, 10), 54 * PAGES_PER_SUBSECTION, NODE_1, 0);
    const nodes = [subsection(3, 9), pfn(subsection(3, 10) - 1), subsection(3, 10), lastOf(3)].map((frame) =>
      sections.nodeOf(sections.pfnToPage(frame)),
    );
    expect(nodes).toEqual([0, 0, 1, 1]);
  });

  test("move to another node without their neighbours", () => {
    const sections = table(1);
    sections.add(sectionToPfn(3), PAGES_PER_SECTION, NODE_0, 0);
    sections.setNode(subsection(3, 8), PAGES_PER_SUBSECTION, NODE_1);
    expect([7, 8, 9].map((at) => sections.nodeOf(sections.pfnToPage(subsection(3, at))))).toEqual([0, 1, 0]);
  });

  test("go one by one, and the section with its last", () => {
    const sections = table(1);
    sections.add(subsection(3, 0), 2 * PAGES_PER_SUBSECTION, NODE_0, 0);
    sections.remove(subsection(3, 0), PAGES_PER_SUBSECTION);
    expect(validSubsections(sections, 3)).toEqual([1]);
    expect(sections.present()).toEqual([3]);
    sections.remove(subsection(3, 1), PAGES_PER_SUBSECTION);
    expect(sections.present()).toEqual([]);
    expect(sections.pfnToPage(sectionToPfn(3))).toBe(NULL_PAGE);
  });

  test("of any range are those that it covers, and no others", () => {
    fc.assert(
      fc.property(fc.nat(63), fc.integer({ min: 1, max: 64 }), (first, wanted) => {
        const count = Math.min(wanted, SUBSECTIONS_PER_SECTION - first);
        const sections = table(1);
        sections.add(subsection(3, first), count * PAGES_PER_SUBSECTION, NODE_0, 0);
        expect(validSubsections(sections, 3)).toEqual(Array.from({ length: count }, (_, i) => first + i));
        sections.remove(subsection(3, first), count * PAGES_PER_SUBSECTION);
        expect(sections.presentCount).toBe(0);
      }),
    );
  });
});

describe("adding", () => {
  test("a subsection that is there already is EEXIST, and the rest of the range isn't added", () => {
    const sections = table(1);
    sections.add(subsection(3, 8), PAGES_PER_SUBSECTION, NODE_0, 0);
    const before = stateOf(sections);
    expect(() => sections.add(sectionToPfn(3), PAGES_PER_SECTION, NODE_1, 0)).toThrow(errno("EEXIST"));
    expect(() => sections.add(subsection(3, 4), 8 * PAGES_PER_SUBSECTION, NODE_1, 0)).toThrow(
      "EEXIST: section 3 at frame 0x18800 has struct pages already",
    );
    expect(stateOf(sections)).toEqual(before);
    expect(sections.nodeOf(sections.pfnToPage(subsection(3, 8)))).toBe(NODE_0);
  });

  test("more sections than the memmap was sized for is ENOMEM, and changes nothing", () => {
    const sections = table(2);
    sections.addSections(1, 3, NODE_0, 0);
    const before = stateOf(sections);
    for (let i = 0; i < 2; i++) {
      expect(() => sections.add(sectionToPfn(7), PAGES_PER_SECTION, NODE_0, 0)).toThrow(
        "ENOMEM: the memmap is full: it was sized for 2 sections of 128 MiB",
      );
    }
    expect(stateOf(sections)).toEqual(before);
  });

  test("a section again takes the slot of one that was removed", () => {
    const sections = table(2);
    sections.addSections(1, 3, NODE_0, 0);
    const slot = slotOf(sections, 1);
    sections.remove(sectionToPfn(1), PAGES_PER_SECTION);
    sections.add(sectionToPfn(9), PAGES_PER_SECTION, NODE_1, 0);
    expect(slotOf(sections, 9)).toBe(slot);
    expect(sections.pageToPfn(sections.pfnToPage(sectionToPfn(9)))).toBe(sectionToPfn(9));
    expect(sections.present()).toEqual([2, 9]);
  });

  test("a section in a used slot doesn't inherit the flags, the subsections or the node of the one before", () => {
    const sections = table(1);
    sections.add(sectionToPfn(1), PAGES_PER_SECTION, NODE_1, SectionFlag.early | SectionFlag.initialised);
    sections.remove(sectionToPfn(1), PAGES_PER_SECTION);
    sections.add(subsection(2, 5), PAGES_PER_SUBSECTION, NODE_0, 0);
    expect(sections.has(2, SectionFlag.early | SectionFlag.initialised)).toBe(false);
    expect(validSubsections(sections, 2)).toEqual([5]);
    expect(sections.nodeOf(sections.pfnToPage(subsection(2, 5)))).toBe(NODE_0);
  });

  test.each([
    ["that crosses into the next section", subsection(3, 63), 2 * PAGES_PER_SUBSECTION],
    ["of no pages", sectionToPfn(3), 0],
  ])("a range %s is a bug", (_, start, pages) => {
    expect(() => table(2).add(start, pages, NODE_0, 0)).toThrow(KernelBug);
  });

  test.each([46, 52])("works at the top of a %i-bit physical space and is ERANGE above it", (bits) => {
    const sections = table(2, bits);
    const top = 2 ** (bits - 27) - 1;
    const last = pfn(2 ** (bits - 12) - 1);
    sections.add(sectionToPfn(top), PAGES_PER_SECTION, NODE_1, 0);
    expect(sectionOfPfn(last)).toBe(top);
    expect(sections.pfnValid(last)).toBe(true);
    expect(sections.pageToPfn(sections.pfnToPage(last))).toBe(last);
    expect(sections.pfnValid(pfn(last + 1))).toBe(false);
    expect(sections.pfnToPage(pfn(last + 1))).toBe(NULL_PAGE);
    expect(() => sections.add(sectionToPfn(top + 1), PAGES_PER_SECTION, NODE_1, 0)).toThrow(errno("ERANGE"));
    expect(() => sections.addSections(top + 1, top + 2, NODE_1, 0)).toThrow(errno("ERANGE"));
    expect(sections.present()).toEqual([top]);
  });
});

describe("adding many sections", () => {
  test("is adding each, up to the last that fits: section 0 has room of its own", () => {
    const bulk = table(8);
    bulk.addSections(0, 9, NODE_1, SectionFlag.early);
    const each = table(8);
    for (let section = 0; section < 9; section++) {
      each.add(sectionToPfn(section), PAGES_PER_SECTION, NODE_1, SectionFlag.early);
    }
    expect(stateOf(bulk)).toEqual(stateOf(each));
    expect(bulk.isWhole(8) && bulk.has(8, SectionFlag.present) && bulk.has(8, SectionFlag.early)).toBe(true);
    expect(bulk.nodeOf(bulk.pfnToPage(lastOf(8)))).toBe(NODE_1);
  });

  test("uses the slots of removed ones first", () => {
    const sections = table(4);
    sections.addSections(1, 5, NODE_0, 0);
    sections.remove(sectionToPfn(2), PAGES_PER_SECTION);
    sections.remove(sectionToPfn(3), PAGES_PER_SECTION);
    sections.addSections(7, 9, NODE_1, 0);
    expect(sections.present()).toEqual([1, 4, 7, 8]);
    expect(new Set([1, 4, 7, 8].map((section) => slotOf(sections, section))).size).toBe(4);
  });

  test("when there are none to add changes nothing, used slots or not", () => {
    const sections = table(4);
    sections.addSections(1, 3, NODE_0, 0);
    sections.remove(sectionToPfn(2), PAGES_PER_SECTION);
    const before = stateOf(sections);
    sections.addSections(5, 5, NODE_0, 0);
    expect(stateOf(sections)).toEqual(before);
  });

  test.each([
    ["is EEXIST when one of them is there", 3, 7, "EEXIST"],
    ["is ENOMEM when they don't all fit", 6, 9, "ENOMEM"],
    ["is EEXIST when one of them is there, section 0 among them", 0, 5, "EEXIST"],
  ])("%s, and none is added", (_, first, end, name) => {
    const fresh = table(4);
    fresh.addSections(4, 6, NODE_0, 0);
    const used = table(4);
    used.addSections(4, 7, NODE_0, 0);
    used.remove(sectionToPfn(6), PAGES_PER_SECTION);
    for (const sections of [fresh, used]) {
      const before = stateOf(sections);
      expect(() => sections.addSections(first, end, NODE_1, 0)).toThrow(errno(name));
      expect(stateOf(sections)).toEqual(before);
    }
  });
});

describe("an untouched section", () => {
  test("is present, whole and of its node, and has no page before it is taken back", () => {
    const sections = table(4);
    sections.addUntouched(1, 4, NODE_1, SectionFlag.early);
    expect([sections.present(), sections.presentCount]).toEqual([[1, 2, 3], 3]);
    expect([sections.isWhole(2), sections.pfnValid(lastOf(2)), sections.has(2, SectionFlag.early)]).toEqual([
      true,
      true,
      true,
    ]);
    expect([sections.nodeOfPfn(lastOf(2)), sections.pfnToPage(lastOf(2))]).toEqual([NODE_1, NULL_PAGE]);
    expect([0, 1, 2, 3, 4].map((section) => sections.isUntouched(section))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
  });

  test("gets the next slot, in the order in which sections are taken back", () => {
    const sections = table(4);
    sections.addUntouched(1, 4, NODE_1, 0);
    sections.takeBack(3);
    sections.takeBack(1);
    expect([3, 1].map((section) => slotOf(sections, section))).toEqual([1, 2]);
    const page = sections.pfnToPage(lastOf(3));
    expect([sections.pageToPfn(page), sections.nodeOf(page), sections.nodeOfPfn(lastOf(3))]).toEqual([
      lastOf(3),
      NODE_1,
      NODE_1,
    ]);
    expect(sections.isUntouched(3)).toBe(false);
  });

  test("keeps its flags when it is touched, and goes without ever having been", () => {
    const sections = table(2);
    sections.addUntouched(1, 3, NODE_0, SectionFlag.early);
    sections.set(1, SectionFlag.online);
    sections.takeBack(1);
    sections.clear(1, SectionFlag.early);
    expect([SectionFlag.early, SectionFlag.online].map((flag) => sections.has(1, flag))).toEqual([
      false,
      true,
    ]);
    sections.remove(sectionToPfn(2), PAGES_PER_SECTION);
    sections.add(sectionToPfn(7), PAGES_PER_SECTION, NODE_1, 0);
    expect(sections.present()).toEqual([1, 7]);
    expect([1, 7].map((section) => slotOf(sections, section))).toEqual([1, 2]);
  });

  test("has a slot kept for it: what doesn't fit beside it is ENOMEM", () => {
    const sections = table(3);
    sections.addUntouched(1, 4, NODE_0, 0);
    expect(() => sections.add(sectionToPfn(7), PAGES_PER_SECTION, NODE_0, 0)).toThrow(errno("ENOMEM"));
    expect(() => sections.addUntouched(3, 5, NODE_0, 0)).toThrow(errno("EEXIST"));
    sections.add(sectionToPfn(0), PAGES_PER_SECTION, NODE_0, 0);
  });
});

describe("section 0", () => {
  test("has slot 0, whenever it is added, so that frame 0 is page 0, which is nobody's", () => {
    const sections = table(3);
    sections.addSections(1, 3, NODE_0, 0);
    sections.add(sectionToPfn(0), PAGES_PER_SECTION, NODE_0, 0);
    expect(sections.pfnToPage(pfn(0))).toBe(NULL_PAGE);
    expect(sections.pfnValid(pfn(0))).toBe(true);
    expect(sections.pageToPfn(sections.pfnToPage(pfn(1)))).toBe(1);
  });

  test("keeps its slot to itself when it has been removed", () => {
    const sections = table(2);
    sections.addSections(0, 2, NODE_0, 0);
    sections.remove(sectionToPfn(0), PAGES_PER_SECTION);
    sections.add(sectionToPfn(5), PAGES_PER_SECTION, NODE_0, 0);
    expect(slotOf(sections, 5)).toBeGreaterThan(0);
    sections.add(sectionToPfn(0), PAGES_PER_SECTION, NODE_0, 0);
    expect(sections.present()).toEqual([0, 1, 5]);
  });

  test("need not exist: no page of such a machine is page 0", () => {
    const sections = table(1);
    sections.addSections(8, 9, NODE_0, 0);
    expect(sections.pfnToPage(sectionToPfn(8))).not.toBe(NULL_PAGE);
    expect(sections.pfnValid(pfn(0))).toBe(false);
  });
});

describe("removing", () => {
  test("what isn't there is a bug", () => {
    const sections = table(1);
    expect(() => sections.remove(sectionToPfn(3), PAGES_PER_SECTION)).toThrow(KernelBug);
  });

  test("a range that is there only in part is a bug, and removes nothing", () => {
    const sections = table(1);
    sections.add(sectionToPfn(3), 40 * PAGES_PER_SUBSECTION, NODE_0, 0);
    const before = stateOf(sections);
    expect(() => sections.remove(sectionToPfn(3), PAGES_PER_SECTION)).toThrow(KernelBug);
    expect(stateOf(sections)).toEqual(before);
  });

  test.each([
    ["that crosses into the next section", sectionToPfn(3), PAGES_PER_SECTION + PAGES_PER_SUBSECTION],
    ["of no pages", sectionToPfn(3), 0],
  ])("a range %s is a bug, and removes nothing", (_, start, pages) => {
    const sections = table(2);
    sections.addSections(3, 5, NODE_0, 0);
    const before = stateOf(sections);
    expect(() => sections.remove(start, pages)).toThrow(KernelBug);
    expect(stateOf(sections)).toEqual(before);
  });
});

describe("page and frame", () => {
  test("are inverse in every section, wherever it is and in whatever slot", () => {
    const section = fc.integer({ min: 0, max: 2 ** 25 - 1 });
    const numbers = fc.uniqueArray(section, { minLength: 1, maxLength: 8 });
    const sections = table(8, 52);
    fc.assert(
      fc.property(numbers, fc.nat(PAGES_PER_SECTION - 1), (present, offset) => {
        for (const number of present) sections.add(sectionToPfn(number), PAGES_PER_SECTION, NODE_0, 0);
        const frames = present.map((number) => pfn(sectionToPfn(number) + offset));
        const pages = frames.map((frame) => sections.pfnToPage(frame));
        expect(pages.map((page) => sections.pageToPfn(page))).toEqual(frames);
        expect(new Set(pages).size).toBe(pages.length);
        expect(sections.present()).toEqual(present.toSorted((a, b) => a - b));
        for (const number of present) sections.remove(sectionToPfn(number), PAGES_PER_SECTION);
      }),
    );
  });
});
