// Records of present sections: number, state, subsections with struct pages, and slot of the memmap if any. The
// records are dense, so the cost depends on the present sections and not on their addresses. Kernel counterpart:
// struct mem_section and struct mem_section_usage in include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";
import { grown } from "./growth.ts";

/** State bits of a section. @see SECTION_MARKED_PRESENT in include/linux/mmzone.h */
export const SectionFlag = {
  /** The section has struct pages. */
  present: 1,
  /** Pages of the section may belong to zones. */
  online: 2,
  /** Present since boot. */
  early: 4,
  /** Online, with a part that is device memory. */
  taintZoneDevice: 8,
  /** The struct pages are initialised. */
  initialised: 16,
} as const;

/** Slot of a section of which no page has been touched. */
export const NO_SLOT = -1;
const WHOLE_SECTION = 0xffff_ffff;
const FIRST_RECORDS = 8;

export class SectionRecords {
  /** Section number by record. */
  sections: Int32Array = new Int32Array(FIRST_RECORDS);
  slots: Int32Array = new Int32Array(FIRST_RECORDS);
  /** Node of a section without a slot, which is on one node. With a slot, see SectionTable.nodeOf(). */
  nodes: Int16Array = new Int16Array(FIRST_RECORDS);
  private flags: Uint8Array = new Uint8Array(FIRST_RECORDS);
  /** One bit per subsection, two words per record. */
  private subsections: Uint32Array = new Uint32Array(FIRST_RECORDS * 2);
  readonly #free: number[] = [];
  #used = 0;

  /** Allocates a record for a section without a slot and subsections. */
  take(section: number, node: NodeId): number {
    const record = this.#free.pop() ?? this.#used++;
    this.#fit(this.#used);
    this.sections[record] = section;
    this.slots[record] = NO_SLOT;
    this.nodes[record] = node;
    return record;
  }

  /** Allocates consecutive records for the whole sections [first, end). @returns the first record */
  takeMany(first: number, end: number, node: NodeId, flags: number): number {
    const record = this.#used;
    this.#used += end - first;
    this.#fit(this.#used);
    for (let section = first; section < end; section++) this.sections[record + section - first] = section;
    this.slots.fill(NO_SLOT, record, this.#used);
    this.nodes.fill(node, record, this.#used);
    this.flags.fill(flags, record, this.#used);
    this.subsections.fill(WHOLE_SECTION, record * 2, this.#used * 2);
    return record;
  }

  give(record: number): void {
    this.flags[record] = 0;
    this.#free.push(record);
  }

  flagsOf(record: number): number {
    return this.flags[record] as number;
  }

  setFlags(record: number, flags: number): void {
    this.flags[record] = flags;
  }

  /** Whether a subsection has struct pages. */
  hasSubsection(record: number, subsection: number): boolean {
    const word = this.subsections[record * 2 + (subsection >> 5)] as number;
    return ((word >>> (subsection & 31)) & 1) === 1;
  }

  /** One of the two words of a record: subsections 0-31, or 32-63. */
  subsectionsOf(record: number, word: number): number {
    return this.subsections[record * 2 + word] as number;
  }

  setSubsections(record: number, low: number, high: number): void {
    this.subsections[record * 2] = low;
    this.subsections[record * 2 + 1] = high;
  }

  /** Whether every subsection has struct pages. */
  isWhole(record: number): boolean {
    return (
      this.subsections[record * 2] === WHOLE_SECTION && this.subsections[record * 2 + 1] === WHOLE_SECTION
    );
  }

  /** Numbers of the present sections, ascending. */
  present(): number[] {
    const sections: number[] = [];
    for (let record = 0; record < this.#used; record++)
      if (this.flags[record] !== 0) sections.push(this.sections[record] as number);
    return sections.sort((a, b) => a - b);
  }

  #fit(records: number): void {
    this.sections = grown(this.sections, records, "sections");
    this.slots = grown(this.slots, records, "sections");
    this.nodes = grown(this.nodes, records, "sections");
    this.flags = grown(this.flags, records, "sections");
    this.subsections = grown(this.subsections, records * 2, "sections");
  }
}
