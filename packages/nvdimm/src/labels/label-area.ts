// The kernel's in-memory copy of a module's label area: two index blocks, and the labels after them. Updates are
// never in place: a label is written to a free slot, then the older index block is rewritten with that slot marked
// used and a higher sequence number. A power failure between any two writes is safe: the newest intact index is used.
// Kernel counterpart: struct nvdimm_drvdata in drivers/nvdimm/nd.h, drivers/nvdimm/label.c.
import { condResched, KernelBug, KernelError, type Sleeps } from "@hetmem/kernel";
import {
  bestSeq,
  decodeIndex,
  decodeLabel,
  encodeIndex,
  encodeLabel,
  INDEX_HEADER_SIZE,
  type IndexBlock,
  indexSizeFor,
  type Label,
  labelSlots,
  type LabelSize,
  nextSeq,
} from "./label-format.ts";

/**
 * Writes bytes to the label area of the module at an offset. May sleep, as a firmware call.
 *
 * @see nvdimm_set_config_data()
 */
export type SetConfigData = (offset: number, bytes: Uint8Array) => Sleeps<void>;

export class LabelArea {
  readonly #data: Uint8Array;
  readonly #setConfigData: SetConfigData;
  #labelSize: LabelSize = 256;
  /** The current index block, if `#valid`. */
  #current: 0 | 1 = 0;
  #valid = false;
  #indexBlocks: readonly IndexBlock[] = [];

  /** Reads the area. @see nd_label_data_init() */
  constructor(media: Uint8Array, setConfigData: SetConfigData) {
    this.#data = media.slice();
    this.#setConfigData = setConfigData;
    for (const size of [128, 256] as const) {
      this.#labelSize = size;
      const newest = this.#newestIndex();
      if (newest === undefined) continue;
      this.#current = newest;
      this.#valid = true;
      this.#indexBlocks = ([0, 1] as const).flatMap((which) => this.#intactIndex(which) ?? []);
      this.#copyIndex(newest, this.#next);
      break;
    }
  }

  /** Whether there is a current index block. */
  get valid(): boolean {
    return this.#valid;
  }

  /** Whether labels have the version 1.1 format, with other cookies and no holder classes. */
  get isVersion11(): boolean {
    return this.valid && this.#labelSize === 128;
  }

  /** Number of free slots. @see nd_label_nfree() */
  get freeSlots(): number {
    if (!this.valid) return this.#slots;
    let free = 0;
    for (let slot = 0; slot < this.#slots; slot++) if (this.#isFree(this.#next, slot)) free++;
    return free;
  }

  /** The index blocks that were intact when the area was read. */
  get indexBlocks(): readonly IndexBlock[] {
    return this.#indexBlocks;
  }

  /** Intact labels of the current index, by slot. @see nd_label_active() */
  labels(): Label[] {
    if (!this.valid) return [];
    const labels: Label[] = [];
    for (let slot = 0; slot < this.#slots; slot++) {
      const label = this.#isFree(this.#current, slot) ? undefined : this.#label(slot);
      if (label) labels.push(label);
    }
    return labels;
  }

  /**
   * Writes both index blocks with all slots free.
   *
   * @throws KernelError ENXIO when the area is too small for two labels
   * @see init_labels()
   */
  *initialise(labelSize: LabelSize = 256): Sleeps<void> {
    this.#labelSize = labelSize;
    if (this.#slots < 2) {
      throw new KernelError(
        "ENXIO",
        `a label area of ${this.#data.length} bytes holds no two labels of ${labelSize} bytes`,
      );
    }
    this.#valid = false;
    this.#data.fill(0);
    for (const index of [0, 1] as const) {
      for (let slot = 0; slot < this.#slots; slot++) this.#mark(index, slot, true);
      yield* this.#writeIndex(index, 3 - index);
    }
    this.#current = 0;
    this.#valid = true;
  }

  /**
   * Writes a label and frees the slots of the labels selected by `replaces`, in two writes: the label, then the
   * index.
   *
   * @throws KernelError ENXIO when no slot is free; errors of the write
   * @see __pmem_label_update()
   */
  *replace(label: Omit<Label, "slot">, replaces: (old: Label) => boolean): Sleeps<void> {
    if (!this.valid) throw new KernelBug("a label is written to an area without an index");
    const slot = this.#firstFree();
    if (slot === undefined)
      throw new KernelError("ENXIO", "all slots of the label area are taken: destroy a namespace");
    const victims = this.labels().filter(replaces);
    this.#mark(this.#next, slot, false);
    const bytes = encodeLabel({ ...label, slot }, this.#labelSize);
    this.#data.set(bytes, this.#slotOffset(slot));
    yield* this.#orAsBefore(function* (this: LabelArea) {
      yield* this.#setConfigData(this.#slotOffset(slot), bytes);
      for (const victim of victims) this.#mark(this.#next, victim.slot, true);
      yield* this.#advanceIndex();
    });
  }

  /** Frees the slots of the labels selected by `removes`. @see del_labels() */
  *remove(removes: (old: Label) => boolean): Sleeps<void> {
    const victims = this.labels().filter(removes);
    if (victims.length === 0) return;
    for (const victim of victims) this.#mark(this.#next, victim.slot, true);
    yield* this.#orAsBefore(this.#advanceIndex);
  }

  get #slots(): number {
    return labelSlots(this.#data.length, this.#labelSize);
  }

  get #indexSize(): number {
    return indexSizeFor(this.#slots);
  }

  get #next(): 0 | 1 {
    return this.#current === 0 ? 1 : 0;
  }

  /** @see nd_label_validate() */
  #newestIndex(): 0 | 1 | undefined {
    const [first, second] = [this.#intactIndex(0), this.#intactIndex(1)];
    if (!first || !second) return first ? 0 : second ? 1 : undefined;
    return bestSeq(first.seq, second.seq) === second.seq ? 1 : 0;
  }

  #intactIndex(which: 0 | 1): IndexBlock | undefined {
    const size = this.#indexSize;
    if (this.#slots < 2) return undefined;
    const index = decodeIndex(this.#indexBytes(which));
    const plausible =
      index !== undefined &&
      index.labelSize === this.#labelSize &&
      index.seq !== 0 &&
      index.myOffset === which * size &&
      index.otherOffset === (1 - which) * size &&
      index.labelOffset === 2 * size &&
      index.mySize >= INDEX_HEADER_SIZE &&
      index.mySize <= size &&
      index.slots * this.#labelSize + 2 * size <= this.#data.length;
    return plausible ? index : undefined;
  }

  /**
   * Runs a change. When a write fails, the current index stays valid, and the next index becomes a copy of it again.
   */
  *#orAsBefore(change: (this: LabelArea) => Sleeps<void>): Sleeps<void> {
    try {
      yield* change.call(this);
    } catch (error) {
      this.#copyIndex(this.#current, this.#next);
      throw error;
    }
  }

  /** Writes the next index and makes it current. */
  *#advanceIndex(): Sleeps<void> {
    const next = this.#next;
    const seq = nextSeq(this.#intactIndex(this.#current)?.seq ?? 0);
    yield* this.#writeIndex(next, seq);
    this.#copyIndex(next, next === 0 ? 1 : 0);
    this.#current = next;
  }

  /** @see nd_label_write_index() */
  *#writeIndex(which: 0 | 1, seq: number): Sleeps<void> {
    const size = this.#indexSize;
    const block = this.#indexBytes(which);
    encodeIndex(block, {
      labelSize: this.#labelSize,
      seq,
      myOffset: which * size,
      mySize: size,
      otherOffset: (1 - which) * size,
      labelOffset: 2 * size,
      slots: this.#slots,
      minor: this.#labelSize < 256 ? 1 : 2,
    });
    yield* this.#setConfigData(which * size, block.slice());
    yield condResched;
  }

  /** Copies the bitmap of one index to the other. The header is set by #writeIndex(). */
  #copyIndex(from: 0 | 1, to: 0 | 1): void {
    const header = this.#indexBytes(to).slice(0, INDEX_HEADER_SIZE);
    this.#indexBytes(to).set(this.#indexBytes(from));
    this.#indexBytes(to).set(header);
  }

  #firstFree(): number | undefined {
    for (let slot = 0; slot < this.#slots; slot++) if (this.#isFree(this.#next, slot)) return slot;
    return undefined;
  }

  #indexBytes(which: 0 | 1): Uint8Array {
    return this.#data.subarray(which * this.#indexSize, (which + 1) * this.#indexSize);
  }

  #isFree(which: 0 | 1, slot: number): boolean {
    return (((this.#indexBytes(which)[INDEX_HEADER_SIZE + (slot >> 3)] ?? 0) >> (slot & 7)) & 1) === 1;
  }

  #mark(which: 0 | 1, slot: number, free: boolean): void {
    const bytes = this.#indexBytes(which);
    const at = INDEX_HEADER_SIZE + (slot >> 3);
    const bit = 1 << (slot & 7);
    bytes[at] = free ? (bytes[at] ?? 0) | bit : (bytes[at] ?? 0) & ~bit;
  }

  #label(slot: number): Label | undefined {
    const offset = this.#slotOffset(slot);
    return decodeLabel(this.#data.subarray(offset, offset + this.#labelSize), slot);
  }

  #slotOffset(slot: number): number {
    return 2 * this.#indexSize + slot * this.#labelSize;
  }
}
