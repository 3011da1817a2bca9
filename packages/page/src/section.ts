// The section table: which 128 MiB pieces of the physical space have struct pages, and where in the memmap these are.
// This is SPARSEMEM_VMEMMAP: a section's struct pages are consecutive, and a slot of the memmap is given to a section
// when it is added and taken back when it is removed. Kernel counterpart: mm/sparse.c.
import { bugOn, KernelBug, KernelError, type NodeId, type Page, PAGE_SHIFT, type Pfn } from "@hetmem/kernel";
import { hostArray } from "./host-array.ts";
import {
  NULL_PAGE,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SECTION_SHIFT,
  SUBSECTIONS_PER_SECTION,
} from "./layout.ts";

/** State bits of a section. @see SECTION_MARKED_PRESENT in include/linux/mmzone.h */
export const SectionFlag = {
  /** It has struct pages. */
  present: 1,
  /** Its pages belong to zones, or may. */
  online: 2,
  /** It was there at boot. */
  early: 4,
  /** Part of it is device memory although it is online. */
  taintZoneDevice: 8,
  /** Its struct pages have been initialised. */
  initialised: 16,
} as const;

const NO_SLOT = -1;
/** Nobody else's: page 0 is NULL_PAGE, so that it must be frame 0, which the firmware keeps, or nothing. */
const SECTION_0_SLOT = 0;
const WHOLE_SECTION = 0xffff_ffff;
const SUBSECTION_SHIFT = 9;

export class SectionTable {
  /** Slots in the memmap. */
  readonly slots: number;
  /**
   * Section number to slot + 1, so that 0 says that there is none and the array is committed as it is touched. Negative
   * while the section is set aside.
   */
  private readonly slotOf: Int32Array;
  private readonly sectionOf: Float64Array;
  private readonly flags: Uint8Array;
  private readonly subsections: Uint32Array;
  /** Which node each subsection of the memmap belongs to, by page / 512. @see section_to_node_table in mm/sparse.c */
  private readonly node: Int16Array;
  readonly #freeSlots: number[] = [];
  #nextSlot = 1;
  #presentCount = 0;

  /** @param physicalBits bits of a physical address, which bound the section numbers */
  constructor(maxPages: number, physicalBits: number) {
    this.slots = Math.ceil(maxPages / PAGES_PER_SECTION) + 1;
    this.slotOf = hostArray(
      Int32Array,
      2 ** (physicalBits - PAGE_SHIFT - SECTION_SHIFT),
      `sections of a space of ${physicalBits} bits`,
    );
    this.sectionOf = new Float64Array(this.slots);
    this.flags = new Uint8Array(this.slots);
    this.subsections = new Uint32Array(this.slots * 2);
    this.node = new Int16Array(this.slots * (PAGES_PER_SECTION / PAGES_PER_SUBSECTION));
  }

  /** Whether a frame has a struct page. @see pfn_valid() in include/linux/mmzone.h */
  pfnValid(frame: Pfn): boolean {
    const slot = this.#slot(sectionOfPfn(frame));
    if (slot === NO_SLOT) return false;
    const subsection = subsectionOfPfn(frame);
    return (((this.subsections[slot * 2 + (subsection >> 5)] ?? 0) >>> (subsection & 31)) & 1) === 1;
  }

  /**
   * The struct page of a frame, NULL_PAGE where its section has none or is set aside. In a section that is there only in
   * part, ask pfnValid() first.
   *
   * @see pfn_to_page() in include/asm-generic/memory_model.h
   */
  pfnToPage(frame: Pfn): Page {
    const section = (frame / PAGES_PER_SECTION) | 0;
    const slot = (this.slotOf[section] ?? 0) - 1;
    if (slot < 0) return NULL_PAGE as Page;
    return (slot * PAGES_PER_SECTION + (frame - section * PAGES_PER_SECTION)) as Page;
  }

  pageToPfn(page: Page): Pfn {
    const slot = page >> SECTION_SHIFT;
    return ((this.sectionOf[slot] ?? 0) * PAGES_PER_SECTION + (page & (PAGES_PER_SECTION - 1))) as Pfn;
  }

  nodeOf(page: Page): NodeId {
    return this.node[page >> SUBSECTION_SHIFT] as NodeId;
  }

  /**
   * Gives struct pages to the subsections of one section that [start, start + pages) covers.
   *
   * @throws KernelError EEXIST when one of them has them already, ENOMEM when the memmap is full
   * @see sparse_add_section() in mm/sparse.c
   */
  add(start: Pfn, pages: number, node: NodeId, flags: number): void {
    const section = sectionOfPfn(start);
    expectOneSection("adding", start, pages);
    const low = subsectionMask(start, pages, 0);
    const high = subsectionMask(start, pages, 1);
    const known = this.#slot(section);
    if (
      known !== NO_SLOT &&
      (((this.subsections[known * 2] ?? 0) & low) | ((this.subsections[known * 2 + 1] ?? 0) & high)) !== 0
    ) {
      throw new KernelError(
        "EEXIST",
        `section ${section} at frame 0x${start.toString(16)} has struct pages already`,
      );
    }
    const slot = known === NO_SLOT ? this.#takeSlot(section) : known;
    this.subsections[slot * 2] = (this.subsections[slot * 2] ?? 0) | low;
    this.subsections[slot * 2 + 1] = (this.subsections[slot * 2 + 1] ?? 0) | high;
    this.flags[slot] = (this.flags[slot] ?? 0) | SectionFlag.present | flags;
    this.setNode(start, pages, node);
  }

  /**
   * Gives struct pages to whole sections [first, end), in slots that follow each other once those of removed sections
   * are used up: a machine boots with thousands.
   *
   * @throws KernelError EEXIST when one of them has struct pages already, ENOMEM when the memmap is full
   * @see sparse_init_nid() in mm/sparse.c
   */
  addSections(first: number, end: number, node: NodeId, flags: number): void {
    this.#expectRoom(first, end);
    while (first < end && (first === 0 || this.#freeSlots.length > 0)) {
      this.add(sectionToPfn(first++), PAGES_PER_SECTION, node, flags);
    }
    const { slotOf, sectionOf } = this;
    const slot = this.#nextSlot;
    const slotEnd = slot + end - first;
    for (let section = first; section < end; section++) {
      slotOf[section] = slot + (section - first) + 1;
      sectionOf[slot + (section - first)] = section;
    }
    this.subsections.fill(WHOLE_SECTION, slot * 2, slotEnd * 2);
    this.flags.fill(SectionFlag.present | flags, slot, slotEnd);
    this.node.fill(node, slot * SUBSECTIONS_PER_SECTION, slotEnd * SUBSECTIONS_PER_SECTION);
    this.#nextSlot = slotEnd;
    this.#presentCount += end - first;
  }

  /** Takes the struct pages of these subsections away; the slot goes with the last. @see sparse_remove_section() in mm/sparse.c */
  remove(start: Pfn, pages: number): void {
    const section = sectionOfPfn(start);
    const slot = this.#slot(section);
    bugOn(slot === NO_SLOT, `removing section ${section}, which has no struct pages`);
    expectOneSection("removing", start, pages);
    const low = subsectionMask(start, pages, 0);
    const high = subsectionMask(start, pages, 1);
    const lowBefore = this.subsections[slot * 2] ?? 0;
    const highBefore = this.subsections[slot * 2 + 1] ?? 0;
    bugOn(
      ((~lowBefore & low) | (~highBefore & high)) !== 0,
      `removing a part of section ${section} that isn't there`,
    );
    this.subsections[slot * 2] = lowBefore & ~low;
    this.subsections[slot * 2 + 1] = highBefore & ~high;
    if ((lowBefore & ~low) !== 0 || (highBefore & ~high) !== 0) return;
    this.flags[slot] = 0;
    this.slotOf[section] = 0;
    this.#presentCount--;
    if (slot !== SECTION_0_SLOT) this.#freeSlots.push(slot);
  }

  /** From now on pfnToPage() finds no struct page in a section, which keeps its slot. */
  setAside(section: number): void {
    bugOn((this.slotOf[section] ?? 0) <= 0, `section ${section} has no struct pages to set aside`);
    this.slotOf[section] = -(this.slotOf[section] ?? 0);
  }

  /** Undoes setAside(). @returns the first page of the section */
  takeBack(section: number): Page {
    bugOn((this.slotOf[section] ?? 0) >= 0, `section ${section} isn't set aside`);
    this.slotOf[section] = -(this.slotOf[section] ?? 0);
    return this.pageAt(sectionToPfn(section));
  }

  /** The page of a frame, set aside or not: for tables that are as long as the memmap. @throws KernelBug where its section has none */
  pageAt(frame: Pfn): Page {
    const slot = this.#slot(sectionOfPfn(frame));
    bugOn(slot === NO_SLOT, `section ${sectionOfPfn(frame)} has no struct pages`);
    return (slot * PAGES_PER_SECTION + (frame % PAGES_PER_SECTION)) as Page;
  }

  /** Says which node a range of one section belongs to. */
  setNode(start: Pfn, pages: number, node: NodeId): void {
    const page = this.pageAt(start);
    const last = page + pages - 1;
    this.node.fill(node, page >> SUBSECTION_SHIFT, (last >> SUBSECTION_SHIFT) + 1);
  }

  has(section: number, flag: number): boolean {
    const slot = this.#slot(section);
    return slot !== NO_SLOT && ((this.flags[slot] ?? 0) & flag) !== 0;
  }

  set(section: number, flag: number): void {
    const slot = this.#slot(section);
    bugOn(slot === NO_SLOT, `section ${section} has no struct pages`);
    this.flags[slot] = (this.flags[slot] ?? 0) | flag;
  }

  clear(section: number, flag: number): void {
    const slot = this.#slot(section);
    bugOn(slot === NO_SLOT, `section ${section} has no struct pages`);
    this.flags[slot] = (this.flags[slot] ?? 0) & ~flag;
  }

  /** Whether every frame of the section has a struct page. */
  isWhole(section: number): boolean {
    const slot = this.#slot(section);
    if (slot === NO_SLOT) return false;
    return this.subsections[slot * 2] === WHOLE_SECTION && this.subsections[slot * 2 + 1] === WHOLE_SECTION;
  }

  /** Numbers of the sections that have struct pages, ascending. */
  present(): number[] {
    const sections: number[] = [];
    for (let slot = 0; slot < this.#nextSlot; slot++) {
      if (this.flags[slot] !== 0) sections.push(this.sectionOf[slot] ?? 0);
    }
    return sections.sort((a, b) => a - b);
  }

  get presentCount(): number {
    return this.#presentCount;
  }

  #slot(section: number): number {
    return Math.abs(this.slotOf[section] ?? 0) - 1;
  }

  #expectRoom(first: number, end: number): void {
    const taken = this.slotOf.subarray(first, end).findIndex((slot) => slot !== 0);
    if (taken >= 0) throw new KernelError("EEXIST", `section ${first + taken} has struct pages already`);
    if (end > this.slotOf.length) {
      throw new KernelError("ERANGE", `section ${end - 1} is past the end of the physical address space`);
    }
    const slots = this.#freeSlots.length + this.slots - this.#nextSlot + (first === 0 ? 1 : 0);
    if (end - first > slots) {
      throw new KernelError(
        "ENOMEM",
        `the memmap is full: it was sized for ${this.slots - 1} sections of 128 MiB`,
      );
    }
  }

  #takeSlot(section: number): number {
    if (section >= this.slotOf.length)
      throw new KernelError("ERANGE", `section ${section} is past the end of the physical address space`);
    const slot = section === 0 ? SECTION_0_SLOT : (this.#freeSlots.pop() ?? this.#nextSlot++);
    if (slot >= this.slots) {
      this.#nextSlot--;
      throw new KernelError(
        "ENOMEM",
        `the memmap is full: it was sized for ${this.slots - 1} sections of 128 MiB`,
      );
    }
    this.slotOf[section] = slot + 1;
    this.sectionOf[slot] = section;
    this.#presentCount++;
    return slot;
  }
}

export function sectionOfPfn(frame: Pfn): number {
  return Math.floor(frame / PAGES_PER_SECTION);
}

export function sectionToPfn(section: number): Pfn {
  return (section * PAGES_PER_SECTION) as Pfn;
}

function subsectionOfPfn(frame: Pfn): number {
  return Math.floor((frame % PAGES_PER_SECTION) / PAGES_PER_SUBSECTION);
}

function expectOneSection(change: string, start: Pfn, pages: number): void {
  if (pages > 0 && sectionOfPfn((start + pages - 1) as Pfn) === sectionOfPfn(start)) return;
  throw new KernelBug(
    `${change} ${pages} pages at frame 0x${start.toString(16)}, which isn't a range of one section`,
  );
}

/** Which of the 32 subsections of one word a range covers, even in part. */
function subsectionMask(start: Pfn, pages: number, word: number): number {
  const first = Math.max(subsectionOfPfn(start) - word * 32, 0);
  const last = Math.min(subsectionOfPfn((start + pages - 1) as Pfn) - word * 32, 31);
  if (first > 31 || last < 0) return 0;
  const ones = last - first === 31 ? WHOLE_SECTION : 2 ** (last - first + 1) - 1;
  return (ones << first) >>> 0;
}
