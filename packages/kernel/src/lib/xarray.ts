// The XArray of a file's page cache: maps the index of a page in the file to a page, or to a value (a shadow entry, a
// swap entry). The XArray is a tree of nodes with 64 slots each, in one Int32Array that grows. The tree is as high as
// its largest index needs, and empty nodes are reused. A node has a mark when any slot below it has, so that the few
// dirty pages of a large file are found without a full walk. Kernel counterpart: lib/xarray.c.
import { KernelBug } from "../error.ts";

/** Marks of an entry. @see PAGECACHE_TAG_DIRTY in include/linux/fs.h */
export const XaMark = { dirty: 0, writeback: 1 } as const;
export type XaMark = (typeof XaMark)[keyof typeof XaMark];

/** Returned by find() and findMarked() when there is no entry. */
export const NO_INDEX = -1;
/** The highest index of a page in a file: files have at most 8 TiB. */
export const MAX_INDEX: number = 2 ** 31 - 1;

const SLOT_BITS = 6;
const SLOTS = 1 << SLOT_BITS;
const SLOT_MASK = SLOTS - 1;
const MARKS = 2;
/** The words of a node: 64 slots, the number of slots in use, and two words of bits for each mark. */
const COUNT = SLOTS;
const FIRST_MARK = SLOTS + 1;
const NODE_WORDS = SLOTS + 8;
const FIRST_NODES = 2;
/** Levels of a tree that reaches MAX_INDEX. */
const MAX_LEVELS = 6;

/** Whether an entry is a value rather than a page. @see xa_is_value() */
export function isValue(entry: number): boolean {
  return entry < 0;
}

/** The entry of a value. @param value 31 bits @see xa_mk_value() */
export function valueEntry(value: number): number {
  return ~value;
}

/** @see xa_to_value() */
export function entryValue(entry: number): number {
  return ~entry;
}

export class XArray {
  /**
   * The words of all nodes. Slots hold node numbers, on the lowest level entries. 0 is an empty slot, so node numbers
   * start at 1.
   */
  private words: Int32Array = new Int32Array(FIRST_NODES * NODE_WORDS);
  private used = 2;
  private readonly spare: number[] = [];
  private levels = 1;
  private root = 1;
  private pageCount = 0;
  private valueCount = 0;
  /** The node of each level on the path of the last descend(). */
  private readonly path: Int32Array = new Int32Array(MAX_LEVELS);

  /** Number of entries that are pages. @see mapping->nrpages */
  get pages(): number {
    return this.pageCount;
  }

  /** Number of entries that are values. */
  get values(): number {
    return this.valueCount;
  }

  /** Number of nodes in use. */
  get nodes(): number {
    return this.used - 1 - this.spare.length;
  }

  /** The entry at an index, or 0. @see xa_load() */
  load(index: number): number {
    if (index > this.maxIndex) return 0;
    const { words } = this;
    let node = this.root;
    for (let level = this.levels - 1; level > 0; level--) {
      node = words[node * NODE_WORDS + ((index >>> (level * SLOT_BITS)) & SLOT_MASK)] as number;
      if (node === 0) return 0;
    }
    return words[node * NODE_WORDS + (index & SLOT_MASK)] as number;
  }

  /**
   * Stores an entry at an index. The new entry inherits the marks of the old one. 0 erases the entry and its marks.
   *
   * @returns the old entry, or 0
   * @throws KernelBug for an index below 0 or above MAX_INDEX
   * @see xa_store()
   */
  store(index: number, entry: number): number {
    if (!(index >= 0 && index <= MAX_INDEX)) throw new KernelBug(`page ${index} is of no file`);
    if (entry === 0) return this.erase(index);
    while (index > this.maxIndex) this.rise();
    const leaf = this.descend(index);
    const at = leaf * NODE_WORDS + (index & SLOT_MASK);
    const old = this.words[at] as number;
    if (old === 0) this.count(leaf, 1);
    this.words[at] = entry;
    this.tally(old, -1);
    this.tally(entry, 1);
    return old;
  }

  /** Sets a mark of an entry. @throws KernelBug when there is no entry @see xa_set_mark() */
  setMark(index: number, mark: XaMark): void {
    if (this.load(index) === 0) throw new KernelBug(`page ${index} is not there to be marked`);
    this.descend(index);
    for (let level = 0; level < this.levels; level++) {
      const at = this.markAt(level, index, mark);
      this.words[at] = (this.words[at] as number) | markBit(level, index);
    }
  }

  /** @see xa_clear_mark() */
  clearMark(index: number, mark: XaMark): void {
    if (this.load(index) === 0) return;
    this.descend(index);
    this.forgetMark(index, mark);
  }

  /** @see xa_get_mark() */
  hasMark(index: number, mark: XaMark): boolean {
    if (this.load(index) === 0) return false;
    this.descend(index);
    return ((this.words[this.markAt(0, index, mark)] as number) & markBit(0, index)) !== 0;
  }

  /** The first index from `first` to `last` with an entry, or NO_INDEX. @see xa_find() */
  find(first: number, last: number): number {
    return this.search(first, Math.min(last, this.maxIndex), undefined);
  }

  /** The first index from `first` to `last` with an entry that has a mark, or NO_INDEX. @see xa_for_each_marked() */
  findMarked(first: number, last: number, mark: XaMark): number {
    return this.search(first, Math.min(last, this.maxIndex), mark);
  }

  /** The highest index that the tree reaches at its present height. */
  private get maxIndex(): number {
    return this.levels === MAX_LEVELS ? MAX_INDEX : 2 ** (this.levels * SLOT_BITS) - 1;
  }

  /** Descends from the root again whenever a branch has no further entry. */
  private search(first: number, last: number, mark: XaMark | undefined): number {
    let index = first;
    while (index <= last) {
      let node = this.root;
      let level = this.levels - 1;
      // Ends: each turn is a level further down.
      for (;;) {
        const slot = this.nextSlot(node, (index >>> (level * SLOT_BITS)) & SLOT_MASK, mark);
        const size = 2 ** (level * SLOT_BITS);
        const base = Math.floor(index / (size * SLOTS)) * size * SLOTS;
        if (slot === SLOTS) {
          index = base + size * SLOTS;
          break;
        }
        index = Math.max(index, base + slot * size);
        if (level === 0) return index <= last ? index : NO_INDEX;
        node = this.words[node * NODE_WORDS + slot] as number;
        level--;
      }
    }
    return NO_INDEX;
  }

  /** The first used slot from `slot` on, with the mark if one is given; SLOTS when there is none. */
  private nextSlot(node: number, slot: number, mark: XaMark | undefined): number {
    const { words } = this;
    const at = node * NODE_WORDS;
    for (let next = slot; next < SLOTS; next++) {
      if (words[at + next] === 0) continue;
      if (mark === undefined) return next;
      if (((words[at + FIRST_MARK + mark * 2 + (next >> 5)] as number) & (1 << (next & 31))) !== 0)
        return next;
    }
    return SLOTS;
  }

  private erase(index: number): number {
    const old = this.load(index);
    if (old === 0) return 0;
    const leaf = this.descend(index);
    for (let mark = 0; mark < MARKS; mark++) this.forgetMark(index, mark as XaMark);
    this.words[leaf * NODE_WORDS + (index & SLOT_MASK)] = 0;
    this.tally(old, -1);
    this.count(leaf, -1);
    this.prune(index);
    return old;
  }

  /** Descends to the lowest node of an index, allocates missing nodes, and sets `path`. @returns the lowest node */
  private descend(index: number): number {
    let node = this.root;
    this.path[this.levels - 1] = node;
    for (let level = this.levels - 1; level > 0; level--) {
      const slot = (index >>> (level * SLOT_BITS)) & SLOT_MASK;
      let below = this.words[node * NODE_WORDS + slot] as number;
      if (below === 0) {
        below = this.take();
        this.words[node * NODE_WORDS + slot] = below;
        this.count(node, 1);
      }
      this.path[level - 1] = below;
      node = below;
    }
    return node;
  }

  /** Frees the empty nodes of `path`. */
  private prune(index: number): void {
    for (let level = 0; level < this.levels - 1; level++) {
      const node = this.path[level] as number;
      if (this.words[node * NODE_WORDS + COUNT] !== 0) return;
      const above = this.path[level + 1] as number;
      this.words[above * NODE_WORDS + ((index >>> ((level + 1) * SLOT_BITS)) & SLOT_MASK)] = 0;
      this.count(above, -1);
      this.spare.push(node);
    }
  }

  /** Adds a level: the old root becomes the first slot of a new root. */
  private rise(): void {
    const old = this.root;
    const fresh = this.take();
    const { words } = this;
    if (words[old * NODE_WORDS + COUNT] === 0) {
      this.spare.push(old);
    } else {
      words[fresh * NODE_WORDS] = old;
      words[fresh * NODE_WORDS + COUNT] = 1;
      for (let mark = 0; mark < MARKS; mark++)
        if (this.anyMarked(old, mark)) words[fresh * NODE_WORDS + FIRST_MARK + mark * 2] = 1;
    }
    this.root = fresh;
    this.levels++;
  }

  /** Clears a mark along `path`, upwards until a node has another slot with the mark. */
  private forgetMark(index: number, mark: XaMark): void {
    for (let level = 0; level < this.levels; level++) {
      const at = this.markAt(level, index, mark);
      this.words[at] = (this.words[at] as number) & ~markBit(level, index);
      if (this.anyMarked(this.path[level] as number, mark)) return;
    }
  }

  private anyMarked(node: number, mark: number): boolean {
    const at = node * NODE_WORDS + FIRST_MARK + mark * 2;
    return ((this.words[at] as number) | (this.words[at + 1] as number)) !== 0;
  }

  /** Index of the word with an index's mark bit, in the node of a level of `path`. */
  private markAt(level: number, index: number, mark: XaMark): number {
    const slot = (index >>> (level * SLOT_BITS)) & SLOT_MASK;
    return (this.path[level] as number) * NODE_WORDS + FIRST_MARK + mark * 2 + (slot >> 5);
  }

  private count(node: number, by: number): void {
    const at = node * NODE_WORDS + COUNT;
    this.words[at] = (this.words[at] as number) + by;
  }

  private tally(entry: number, by: number): void {
    if (entry > 0) this.pageCount += by;
    else if (entry < 0) this.valueCount += by;
  }

  /** Allocates an empty node. */
  private take(): number {
    const node = this.spare.pop() ?? this.used++;
    if ((node + 1) * NODE_WORDS > this.words.length) {
      const larger = new Int32Array(this.words.length * 2);
      larger.set(this.words);
      this.words = larger;
    }
    this.words.fill(0, node * NODE_WORDS, (node + 1) * NODE_WORDS);
    return node;
  }
}

function markBit(level: number, index: number): number {
  return 1 << ((index >>> (level * SLOT_BITS)) & 31);
}
