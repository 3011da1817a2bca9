// One swap device or file: how often each of its slots is in use, which page of memory holds the same, and the bytes.
// Kernel counterpart: struct swap_info_struct in include/linux/swap.h, mm/swapfile.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { hostArray, NULL_PAGE, PageContents } from "@hetmem/page";

/** Bits of a slot's count. @see SWAP_HAS_CACHE in include/linux/swap.h */
export const SWAP_HAS_CACHE = 0x40;
/** What one byte counts to; the rest is in a continuation. */
export const SWAP_MAP_MAX = 0x3e;
const SWAP_MAP_BAD = 0x3f;
const COUNT_MASK = 0x3f;

/** Free slots are looked for a cluster at a time. @see SWAPFILE_CLUSTER */
const CLUSTER_SHIFT = 8;
const CLUSTER_SLOTS: number = 1 << CLUSTER_SHIFT;

export class SwapDevice {
  /** Its number in swap entries. */
  readonly type: number;
  readonly path: string;
  readonly kind: "partition" | "file";
  /** The highest is filled first. Below zero it was not asked for, and rises when one before it goes. */
  priority: number;
  /** Slots that can be used: the first one holds the header. */
  readonly pages: number;
  /** Slots in use. @see inuse_pages */
  used = 0;
  /** Whether new slots may be given: not while it is being emptied. @see SWP_WRITEOK */
  writeOk = true;
  /** Entries that name each slot, and SWAP_HAS_CACHE. */
  private readonly map: Uint8Array;
  /** What counts of slots don't fit a byte. @see COUNT_CONTINUED */
  private readonly continued = new Map<number, number>();
  /** By slot: the page of the swap cache; negative, the mark of one that was evicted; 0, neither. */
  private readonly cache: Int32Array;
  private readonly freeInCluster: Int16Array;
  /** Where the search for a slot goes on. @see cluster_next */
  private cursor = 1;
  /** The bytes, kept as those of pages are: a slot that was written as zeros takes nothing. */
  private readonly contents: PageContents;

  /** @param slots all of them, the header's among them */
  constructor(type: number, path: string, kind: "partition" | "file", priority: number, slots: number) {
    this.type = type;
    this.path = path;
    this.kind = kind;
    this.priority = priority;
    this.pages = slots - 1;
    this.map = hostArray(Uint8Array, slots, `slots of ${path}`);
    this.map[0] = SWAP_MAP_BAD;
    this.cache = hostArray(Int32Array, slots, `slots of ${path}`);
    this.freeInCluster = new Int16Array(Math.ceil(slots / CLUSTER_SLOTS)).fill(CLUSTER_SLOTS);
    this.freeInCluster[0] = CLUSTER_SLOTS - 1;
    const behind = this.freeInCluster.length * CLUSTER_SLOTS - slots;
    this.takeFromCluster(slots - 1, behind);
    this.contents = new PageContents(slots);
  }

  /** Takes a free slot for a page that is about to enter the swap cache. @returns 0 when the device is full @see scan_swap_map_slots() */
  allocSlot(): number {
    if (!this.writeOk || this.used === this.pages) return 0;
    const slot = this.nextFree();
    this.map[slot] = SWAP_HAS_CACHE;
    this.cursor = slot + 1;
    this.takeFromCluster(slot, 1);
    this.used++;
    return slot;
  }

  /** Whether a slot is in use by entries or by the cache. */
  inUse(slot: number): boolean {
    return this.map[slot] !== 0;
  }

  /** Entries that name a slot. @see swp_swapcount() */
  count(slot: number): number {
    return ((this.map[slot] as number) & COUNT_MASK) + (this.continued.get(slot) ?? 0);
  }

  hasCache(slot: number): boolean {
    return ((this.map[slot] as number) & SWAP_HAS_CACHE) !== 0;
  }

  /** One more entry names a slot. @throws KernelBug for a slot that nobody uses @see swap_duplicate() */
  duplicate(slot: number): void {
    const had = this.map[slot] as number;
    if (had === 0) this.unused(slot, "an entry is made");
    if ((had & COUNT_MASK) < SWAP_MAP_MAX) this.map[slot] = had + 1;
    else this.continued.set(slot, (this.continued.get(slot) ?? 0) + 1);
  }

  /** One entry less names it; the slot may be free now, see releaseIfUnused(). @throws KernelBug when none did @see __swap_entry_free() */
  drop(slot: number): void {
    const more = this.continued.get(slot);
    if (more === undefined) {
      if (this.count(slot) === 0) this.unused(slot, "an entry goes");
      this.map[slot] = (this.map[slot] as number) - 1;
    } else if (more === 1) this.continued.delete(slot);
    else this.continued.set(slot, more - 1);
  }

  /** A page is about to be read from a slot, and enters the cache for it. @see swapcache_prepare() */
  setHasCache(slot: number): void {
    if (this.hasCache(slot) || !this.inUse(slot)) this.unused(slot, "a page enters the cache");
    this.map[slot] = (this.map[slot] as number) | SWAP_HAS_CACHE;
  }

  clearHasCache(slot: number): void {
    this.map[slot] = (this.map[slot] as number) & ~SWAP_HAS_CACHE;
  }

  /** Frees a slot that nobody uses any more. @returns whether it did @see swap_entry_free() */
  releaseIfUnused(slot: number): boolean {
    if (this.map[slot] !== 0) return false;
    this.contents.clear(slot as Page);
    this.cache[slot] = NULL_PAGE;
    this.takeFromCluster(slot, -1);
    this.used--;
    return true;
  }

  /** What the cache holds for a slot: a page, or the shadow of one below zero. */
  cached(slot: number): number {
    return this.cache[slot] as number;
  }

  setCached(slot: number, pageOrShadow: number): void {
    this.cache[slot] = pageOrShadow;
  }

  /** The first slot in use from one on, 0 when there is none. @see find_next_to_unuse() */
  nextInUse(from: number): number {
    for (let slot = Math.max(from, 1); slot <= this.pages; slot++) if (this.map[slot] !== 0) return slot;
    return 0;
  }

  /** The bytes of a slot, undefined where it holds zeros. */
  bytes(slot: number): Uint8Array | undefined {
    return this.contents.bytes(slot as Page);
  }

  /** @param bytes a page, or undefined for zeros */
  write(slot: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.contents.clear(slot as Page);
    else this.contents.materialise(slot as Page).set(bytes);
  }

  /** The first free slot at the cursor or behind it, and then from the start. There is one. */
  private nextFree(): number {
    const { map, freeInCluster } = this;
    const end = this.pages + 1;
    let slot = this.cursor;
    // Ends: the caller knows of a free slot, and each turn passes over one at least.
    for (;;) {
      if (slot >= end) slot = 1;
      if (freeInCluster[slot >> CLUSTER_SHIFT] === 0) slot = ((slot >> CLUSTER_SHIFT) + 1) << CLUSTER_SHIFT;
      else if (map[slot] === 0) return slot;
      else slot++;
    }
  }

  private takeFromCluster(slot: number, slots: number): void {
    const cluster = slot >> CLUSTER_SHIFT;
    this.freeInCluster[cluster] = (this.freeInCluster[cluster] as number) - slots;
  }

  private unused(slot: number, what: string): never {
    throw new KernelBug(`${what} for slot ${slot} of ${this.path}, whose count is ${this.map[slot]}`);
  }
}
