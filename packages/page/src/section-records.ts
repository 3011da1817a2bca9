// What is known of each section that is present: its number, its state, which of its subsections are there, and its slot of the
// memmap when it has one. The records are dense, so that they cost what is present, wherever in the physical space that lies.
// Kernel counterpart: struct mem_section and struct mem_section_usage in include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";
import { grown } from "./growth.ts";

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

/** A section without a slot: none of its pages has been touched. */
export const NO_SLOT = -1;
const WHOLE_SECTION = 0xffff_ffff;
const FIRST_RECORDS = 8;

export class SectionRecords {
  /** By record. */
  sections: Int32Array = new Int32Array(FIRST_RECORDS);
  slots: Int32Array = new Int32Array(FIRST_RECORDS);
  /** The node of a section without a slot: it is one node's. Where there is a slot, see SectionTable.nodeOf(). */
  nodes: Int16Array = new Int16Array(FIRST_RECORDS);
  private flags: Uint8Array = new Uint8Array(FIRST_RECORDS);
  /** A bit a subsection, two words a record. */
  private subsections: Uint32Array = new Uint32Array(FIRST_RECORDS * 2);
  readonly #free: number[] = [];
  #used = 0;

  /** A record for a section that has no slot and no subsections yet. */
  take(section: number, node: NodeId): number {
    const record = this.#free.pop() ?? this.#used++;
    this.#fit(this.#used);
    this.sections[record] = section;
    this.slots[record] = NO_SLOT;
    this.nodes[record] = node;
    return record;
  }

  /** Gives records of whole sections [first, end), one behind the other. @returns the first of the records */
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

  /** Numbers of the sections that are present, ascending. */
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
