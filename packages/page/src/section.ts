// The section table: the 128 MiB sections of the physical space with struct pages, and the slot of the memmap of
// each. The model is SPARSEMEM_VMEMMAP: the struct pages of a section are consecutive. A section gets a slot when it
// is added or first touched, and frees it when it is removed. Kernel counterpart: mm/sparse.c.
import { bugOn, KernelBug, KernelError, type NodeId, type Page, PAGE_SHIFT, type Pfn } from "@hetmem/kernel";
import { grown } from "./growth.ts";
import {
  NULL_PAGE,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SECTION_SHIFT,
  SUBSECTIONS_PER_SECTION,
} from "./layout.ts";
import { NO_SLOT, SectionFlag, SectionRecords } from "./section-records.ts";

/** Record number for none. */
const NO_RECORD = -1;
/** Slot reserved for section 0: page 0 is NULL_PAGE, so it must be frame 0, which the firmware reserves, or unused. */
const SECTION_0_SLOT = 0;
const WHOLE_SECTION = 0xffff_ffff;
const SUBSECTION_SHIFT = 9;
/** Bits per pageblock for its migrate type. @see NR_PAGEBLOCK_BITS in include/linux/pageblock-flags.h */
export const PAGEBLOCK_BITS = 3;
const PAGEBLOCK_MASK: number = (1 << PAGEBLOCK_BITS) - 1;
const FIRST_SECTIONS = 64;
const FIRST_SLOTS = 4;

/** Called with the number of pages that the memmap must have room for. */
export type FitPages = (pages: number) => void;

export class SectionTable {
  /** Maximum number of slots of the memmap. */
  readonly slots: number;
  /** First section past the physical address space. */
  private readonly sectionsEnd: number;
  private readonly fitPages: FitPages;
  /**
   * By section: slot + 1 for visible struct pages, 0 for none, -(record + 1) when present and invisible to
   * pfnToPage().
   */
  private slotOf: Int32Array = new Int32Array(FIRST_SECTIONS);
  private readonly records: SectionRecords = new SectionRecords();
  /** By slot: its section, and the section's record. */
  private sectionOf: Float64Array = new Float64Array(FIRST_SLOTS);
  private recordOf: Int32Array = new Int32Array(FIRST_SLOTS);
  /**
   * By page / 512: node, and three pageblock bits.
   *
   * @see section_to_node_table in mm/sparse.c, struct mem_section_usage
   */
  private blocks: Int16Array = new Int16Array(FIRST_SLOTS * SUBSECTIONS_PER_SECTION);
  readonly #freeSlots: number[] = [];
  #nextSlot = 1;
  #presentCount = 0;

  /**
   * @param maxPages maximum number of pages
   * @param physicalBits bits of a physical address, which bound the section numbers
   * @param fitPages called before new page numbers are used; nothing has changed when it throws
   */
  constructor(maxPages: number, physicalBits: number, fitPages: FitPages = () => {}) {
    this.slots = Math.ceil(maxPages / PAGES_PER_SECTION) + 1;
    this.sectionsEnd = 2 ** (physicalBits - PAGE_SHIFT - SECTION_SHIFT);
    this.fitPages = fitPages;
  }

  /** Whether a frame has a struct page. @see pfn_valid() in include/linux/mmzone.h */
  pfnValid(frame: Pfn): boolean {
    const record = this.#record(sectionOfPfn(frame));
    return record !== NO_RECORD && this.records.hasSubsection(record, subsectionOfPfn(frame));
  }

  /**
   * The struct page of a frame; NULL_PAGE when its section has none, is set aside or untouched. In a partly present
   * section, check pfnValid() first.
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
    return ((this.blocks[page >> SUBSECTION_SHIFT] as number) >> PAGEBLOCK_BITS) as NodeId;
  }

  /** Node and pageblock bits of a page as one number: `(node << PAGEBLOCK_BITS) | bits`. */
  blockOf(page: Page): number {
    return this.blocks[page >> SUBSECTION_SHIFT] as number;
  }

  /**
   * Sets the bits of every pageblock that [page, page + pages) overlaps, within one section. Initially 0.
   *
   * @see set_pageblock_flags_group()
   */
  setPageblockBits(page: Page, pages: number, bits: number): void {
    const { blocks } = this;
    for (let at = page >> SUBSECTION_SHIFT; at <= (page + pages - 1) >> SUBSECTION_SHIFT; at++)
      blocks[at] = ((blocks[at] as number) & ~PAGEBLOCK_MASK) | bits;
  }

  /** The node of a frame in a touched or untouched section. @throws KernelBug when the section has no struct pages */
  nodeOfPfn(frame: Pfn): NodeId {
    const record = this.#expectRecord(sectionOfPfn(frame));
    const slot = this.records.slots[record] as number;
    return slot === NO_SLOT
      ? (this.records.nodes[record] as NodeId)
      : this.nodeOf((slot * PAGES_PER_SECTION + (frame % PAGES_PER_SECTION)) as Page);
  }

  /**
   * Adds struct pages for the subsections of one section that [start, start + pages) overlaps.
   *
   * @param flags SectionFlag bits to set
   * @throws KernelError EEXIST when a subsection has struct pages already, ENOMEM when the memmap is full, ERANGE
   * past the end of the physical space
   * @see sparse_add_section() in mm/sparse.c
   */
  add(start: Pfn, pages: number, node: NodeId, flags: number): void {
    const section = sectionOfPfn(start);
    expectOneSection("adding", start, pages);
    const low = subsectionMask(start, pages, 0);
    const high = subsectionMask(start, pages, 1);
    const known = this.#record(section);
    const lowBefore = known === NO_RECORD ? 0 : this.records.subsectionsOf(known, 0);
    const highBefore = known === NO_RECORD ? 0 : this.records.subsectionsOf(known, 1);
    if (((lowBefore & low) | (highBefore & high)) !== 0) {
      throw new KernelError(
        "EEXIST",
        `section ${section} at frame 0x${start.toString(16)} has struct pages already`,
      );
    }
    if (known === NO_RECORD) this.#expectRoom(section, section + 1);
    const slot = known === NO_RECORD ? this.#slotFor(section) : (this.records.slots[known] as number);
    this.fitPages(slot * PAGES_PER_SECTION + (start % PAGES_PER_SECTION) + pages);
    const record = known === NO_RECORD ? this.#newRecord(section, node) : known;
    this.records.setSubsections(record, lowBefore | low, highBefore | high);
    this.records.setFlags(record, this.records.flagsOf(record) | SectionFlag.present | flags);
    this.setNode(start, pages, node);
  }

  /**
   * Adds struct pages for the whole sections [first, end), in consecutive slots once freed slots are used up.
   *
   * @throws KernelError as add()
   */
  addSections(first: number, end: number, node: NodeId, flags: number): void {
    this.addUntouched(first, end, node, flags);
    for (let section = first; section < end; section++) this.takeBack(section);
  }

  /**
   * Adds the whole sections [first, end) without slots; takeBack() gives a section its slot. A machine boots with
   * thousands of sections, most of which are never touched.
   *
   * @throws KernelError as add()
   * @see sparse_init_nid() in mm/sparse.c
   */
  addUntouched(first: number, end: number, node: NodeId, flags: number): void {
    if (first >= end) return;
    this.#expectRoom(first, end);
    this.#fitSections(end);
    const { slotOf } = this;
    const record = this.records.takeMany(first, end, node, SectionFlag.present | flags);
    for (let section = first; section < end; section++) slotOf[section] = -(record + section - first) - 1;
    this.#presentCount += end - first;
  }

  /**
   * Removes the struct pages of subsections; the last one frees the slot.
   *
   * @see sparse_remove_section() in mm/sparse.c
   */
  remove(start: Pfn, pages: number): void {
    const section = sectionOfPfn(start);
    const record = this.#record(section);
    bugOn(record === NO_RECORD, `removing section ${section}, which has no struct pages`);
    expectOneSection("removing", start, pages);
    const low = subsectionMask(start, pages, 0);
    const high = subsectionMask(start, pages, 1);
    const lowBefore = this.records.subsectionsOf(record, 0);
    const highBefore = this.records.subsectionsOf(record, 1);
    bugOn(
      ((~lowBefore & low) | (~highBefore & high)) !== 0,
      `removing a part of section ${section} that isn't there`,
    );
    this.records.setSubsections(record, lowBefore & ~low, highBefore & ~high);
    if ((lowBefore & ~low) !== 0 || (highBefore & ~high) !== 0) return;
    const slot = this.records.slots[record] as number;
    if (slot !== NO_SLOT && slot !== SECTION_0_SLOT) this.#freeSlots.push(slot);
    this.records.give(record);
    this.slotOf[section] = 0;
    this.#presentCount--;
  }

  /** Hides the struct pages of a section from pfnToPage(). The section keeps its slot. */
  setAside(section: number): void {
    const slot = (this.slotOf[section] ?? 0) - 1;
    bugOn(slot < 0, `section ${section} has no struct pages to set aside`);
    this.slotOf[section] = -(this.recordOf[slot] as number) - 1;
  }

  /** Makes the struct pages of a set-aside or untouched section visible to pfnToPage(). @returns its first page */
  takeBack(section: number): Page {
    bugOn((this.slotOf[section] ?? 0) >= 0, `section ${section} isn't set aside`);
    const page = this.pageAt(sectionToPfn(section));
    this.slotOf[section] = (page >> SECTION_SHIFT) + 1;
    return page;
  }

  /** Whether a section is present and invisible to pfnToPage(). */
  isUntouched(section: number): boolean {
    return (this.slotOf[section] ?? 0) < 0;
  }

  /** The page of a frame, visible or not, for tables by page. @throws KernelBug when the section has no struct pages */
  pageAt(frame: Pfn): Page {
    const section = sectionOfPfn(frame);
    const record = this.#expectRecord(section);
    let slot = this.records.slots[record] as number;
    if (slot === NO_SLOT) {
      this.fitPages((this.#slotFor(section) + 1) * PAGES_PER_SECTION);
      slot = this.#takeSlot(section, record);
    }
    return (slot * PAGES_PER_SECTION + (frame % PAGES_PER_SECTION)) as Page;
  }

  /** Sets the node of a range of one section, and clears its pageblock bits. */
  setNode(start: Pfn, pages: number, node: NodeId): void {
    const page = this.pageAt(start);
    const last = page + pages - 1;
    this.blocks.fill(node << PAGEBLOCK_BITS, page >> SUBSECTION_SHIFT, (last >> SUBSECTION_SHIFT) + 1);
  }

  has(section: number, flag: number): boolean {
    const record = this.#record(section);
    return record !== NO_RECORD && (this.records.flagsOf(record) & flag) !== 0;
  }

  set(section: number, flag: number): void {
    const record = this.#expectRecord(section);
    this.records.setFlags(record, this.records.flagsOf(record) | flag);
  }

  clear(section: number, flag: number): void {
    const record = this.#expectRecord(section);
    this.records.setFlags(record, this.records.flagsOf(record) & ~flag);
  }

  /** Whether every frame of the section has a struct page. */
  isWhole(section: number): boolean {
    const record = this.#record(section);
    return record !== NO_RECORD && this.records.isWhole(record);
  }

  /** Numbers of the sections with struct pages, ascending. */
  present(): number[] {
    return this.records.present();
  }

  get presentCount(): number {
    return this.#presentCount;
  }

  #record(section: number): number {
    const slot = this.slotOf[section] ?? 0;
    return slot > 0 ? (this.recordOf[slot - 1] as number) : -slot - 1;
  }

  #expectRecord(section: number): number {
    const record = this.#record(section);
    bugOn(record === NO_RECORD, `section ${section} has no struct pages`);
    return record;
  }

  #expectRoom(first: number, end: number): void {
    const taken = this.slotOf.subarray(first, end).findIndex((slot) => slot !== 0);
    if (taken >= 0) throw new KernelError("EEXIST", `section ${first + taken} has struct pages already`);
    if (end > this.sectionsEnd) {
      throw new KernelError("ERANGE", `section ${end - 1} is past the end of the physical address space`);
    }
    // Section 0 has a slot of its own, which no other section gets.
    const present = this.#presentCount - (this.slotOf[0] === 0 ? 0 : 1);
    if (present + end - Math.max(first, 1) > this.slots - 1) {
      throw new KernelError(
        "ENOMEM",
        `the memmap is full: it was sized for ${this.slots - 1} sections of 128 MiB`,
      );
    }
  }

  #newRecord(section: number, node: NodeId): number {
    this.#fitSections(section + 1);
    const record = this.records.take(section, node);
    const slot = this.#takeSlot(section, record);
    this.slotOf[section] = slot + 1;
    this.#presentCount++;
    return record;
  }

  /** The slot that #takeSlot() takes for a section. */
  #slotFor(section: number): number {
    return section === 0 ? SECTION_0_SLOT : (this.#freeSlots.at(-1) ?? this.#nextSlot);
  }

  #takeSlot(section: number, record: number): number {
    const slot = section === 0 ? SECTION_0_SLOT : (this.#freeSlots.pop() ?? this.#nextSlot++);
    this.sectionOf = grown(this.sectionOf, slot + 1, "sections");
    this.recordOf = grown(this.recordOf, slot + 1, "sections");
    this.blocks = grown(this.blocks, (slot + 1) * SUBSECTIONS_PER_SECTION, "sections");
    this.sectionOf[slot] = section;
    this.recordOf[slot] = record;
    this.records.slots[record] = slot;
    this.blocks.fill(
      (this.records.nodes[record] as number) << PAGEBLOCK_BITS,
      slot * SUBSECTIONS_PER_SECTION,
      (slot + 1) * SUBSECTIONS_PER_SECTION,
    );
    return slot;
  }

  #fitSections(end: number): void {
    this.slotOf = grown(this.slotOf, end, "sections");
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

/** Mask of the 32 subsections of one word that a range overlaps. */
function subsectionMask(start: Pfn, pages: number, word: number): number {
  const first = Math.max(subsectionOfPfn(start) - word * 32, 0);
  const last = Math.min(subsectionOfPfn((start + pages - 1) as Pfn) - word * 32, 31);
  if (first > 31 || last < 0) return 0;
  const ones = last - first === 31 ? WHOLE_SECTION : 2 ** (last - first + 1) - 1;
  return (ones << first) >>> 0;
}
