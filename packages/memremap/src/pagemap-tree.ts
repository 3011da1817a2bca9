// Lookup of the pagemap of a frame. A radix tree with multi-order entries, as in the kernel's xarray: a range is cut
// into naturally aligned powers of two, and each is one entry at the level where it fits, so that most mappings need
// one, a lookup ends early, and a frame beside an unaligned range hits nothing. Kernel counterpart: pgmap_array in
// mm/memremap.c, XA_FLAGS multi-index entries in lib/xarray.c.
//
// The root has a slot for each 64 GiB. Below it are four levels of nodes of 64 slots. A slot is 0, the number of a
// pagemap, or ~node. An entry that covers several slots of its node is written to each.
import { bugOn, PAGE_SHIFT, type Pfn } from "@hetmem/kernel";
import { hostArray } from "@hetmem/page";

const SLOT_BITS = 6;
const SLOTS = 64;
const SLOT_MASK = 63;
/** Order in frames of a slot of the root, and of a slot of the level below. */
const ROOT_ORDER = 24;
const TOP_SHIFT = 18;
const ROOT_FRAMES = 2 ** ROOT_ORDER;
const LOW_MASK = ROOT_FRAMES - 1;

/** A naturally aligned piece of a range. */
interface Piece {
  readonly frame: number;
  readonly order: number;
}

export class PagemapTree {
  private readonly root: Int32Array;
  private slots: Int32Array = new Int32Array(16 * SLOTS);
  /** Number of used slots of each node. */
  private used: Uint8Array = new Uint8Array(16);
  private readonly freeNodes: number[] = [];
  private nodes = 0;

  /** @param physicalBits bits of a physical address */
  constructor(physicalBits: number) {
    this.root = hostArray(
      Int32Array,
      Math.ceil(2 ** (physicalBits - PAGE_SHIFT - ROOT_ORDER)),
      `pagemaps of a space of ${physicalBits} bits`,
    );
  }

  /** The number of the pagemap that covers a frame; 0 for none. @see xa_load() */
  load(frame: Pfn): number {
    let entry = this.root[(frame / ROOT_FRAMES) | 0];
    if (entry === undefined) return 0;
    if (entry >= 0) return entry;
    const { slots } = this;
    const low = frame & LOW_MASK;
    entry = slots[(~entry << SLOT_BITS) | (low >>> 18)] as number;
    if (entry >= 0) return entry;
    entry = slots[(~entry << SLOT_BITS) | ((low >>> 12) & SLOT_MASK)] as number;
    if (entry >= 0) return entry;
    entry = slots[(~entry << SLOT_BITS) | ((low >>> 6) & SLOT_MASK)] as number;
    if (entry >= 0) return entry;
    return slots[(~entry << SLOT_BITS) | (low & SLOT_MASK)] as number;
  }

  /** The number of a pagemap that covers any frame of a range; 0 for none. @see xa_find() */
  find(start: Pfn, frames: number): number {
    for (const piece of piecesOf(start, frames)) {
      const found = this.#findIn(piece);
      if (found !== 0) return found;
    }
    return 0;
  }

  /**
   * Stores the entries of a range, all or none.
   *
   * @param frames number of frames
   * @param pagemap number of the pagemap
   * @returns the number of entries
   * @throws KernelBug when a frame has a pagemap already: check find() first
   * @see xa_store_range()
   */
  store(start: Pfn, frames: number, pagemap: number): number {
    bugOn(
      this.find(start, frames) !== 0,
      `frames 0x${start.toString(16)}+0x${frames.toString(16)} have a pagemap`,
    );
    let entries = 0;
    for (const piece of piecesOf(start, frames)) {
      this.#write(piece, pagemap);
      entries++;
    }
    return entries;
  }

  /** Erases a range that store() entered. @see pgmap_array_delete() */
  erase(start: Pfn, frames: number): void {
    for (const piece of piecesOf(start, frames)) this.#write(piece, 0);
  }

  /** Whether the tree has no entries. */
  get empty(): boolean {
    return this.nodes === this.freeNodes.length && this.root.every((entry) => entry === 0);
  }

  #findIn({ frame, order }: Piece): number {
    const first = Math.floor(frame / ROOT_FRAMES);
    if (order >= ROOT_ORDER) return this.#firstOf(this.root, first, 2 ** (order - ROOT_ORDER));
    let entry = this.root[first] ?? 0;
    const low = frame & LOW_MASK;
    for (let shift = TOP_SHIFT; entry < 0; shift -= SLOT_BITS) {
      const at = (~entry << SLOT_BITS) | ((low >>> shift) & SLOT_MASK);
      if (order >= shift) return this.#firstOf(this.slots, at, 1 << (order - shift));
      entry = this.slots[at] ?? 0;
    }
    return entry;
  }

  /** The first pagemap in a run of slots or in the nodes below them. */
  #firstOf(slots: Int32Array, at: number, count: number): number {
    for (let i = at; i < at + count; i++) {
      const entry = slots[i] ?? 0;
      if (entry > 0) return entry;
      if (entry < 0) return this.#firstOf(this.slots, ~entry << SLOT_BITS, SLOTS);
    }
    return 0;
  }

  #write({ frame, order }: Piece, value: number): void {
    const first = Math.floor(frame / ROOT_FRAMES);
    bugOn(first >= this.root.length, `frame 0x${frame.toString(16)} is past the end of the physical space`);
    if (order >= ROOT_ORDER) {
      this.root.fill(value, first, first + 2 ** (order - ROOT_ORDER));
      return;
    }
    this.root[first] = this.#writeBelow(this.root[first] ?? 0, TOP_SHIFT, frame & LOW_MASK, order, value);
  }

  /** @returns the new entry for the slot of the parent node */
  #writeBelow(entry: number, shift: number, low: number, order: number, value: number): number {
    const node = entry < 0 ? ~entry : this.#newNode();
    const at = (node << SLOT_BITS) | ((low >>> shift) & SLOT_MASK);
    if (order >= shift) {
      for (let i = at; i < at + (1 << (order - shift)); i++) this.#set(node, i, value);
    } else {
      const below = this.#writeBelow(this.slots[at] ?? 0, shift - SLOT_BITS, low, order, value);
      this.#set(node, at, below);
    }
    if (this.used[node] !== 0) return ~node;
    this.freeNodes.push(node);
    return 0;
  }

  #set(node: number, at: number, value: number): void {
    const had = this.slots[at] ?? 0;
    this.used[node] = (this.used[node] ?? 0) + (value === 0 ? 0 : 1) - (had === 0 ? 0 : 1);
    this.slots[at] = value;
  }

  #newNode(): number {
    const node = this.freeNodes.pop() ?? this.nodes++;
    if (node === this.used.length) {
      const [slots, used] = [this.slots, this.used];
      this.slots = new Int32Array(slots.length * 2);
      this.used = new Uint8Array(used.length * 2);
      this.slots.set(slots);
      this.used.set(used);
    }
    return node;
  }
}

/**
 * Cuts a range into naturally aligned powers of two.
 *
 * @see foreach_order_pgoff() in kernel/memremap.c of 4.14
 * @see ab1b597ee0e4: with one entry per section, frames beside an unaligned range hit
 */
function* piecesOf(start: number, frames: number): Generator<Piece, void, void> {
  for (let frame = start, left = frames; left > 0;) {
    let order = 0;
    while (2 ** (order + 1) <= left && frame % 2 ** (order + 1) === 0) order++;
    yield { frame, order };
    frame += 2 ** order;
    left -= 2 ** order;
  }
}
