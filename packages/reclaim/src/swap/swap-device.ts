// A swap device or file: for each slot, the number of entries that name it, its page in the swap cache, and its
// contents.
// Kernel counterpart: struct swap_info_struct in include/linux/swap.h, mm/swapfile.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { hostArray, NULL_PAGE, PageContents } from "@hetmem/page";

/** Bit of a slot's map byte: a page of the swap cache uses the slot. @see SWAP_HAS_CACHE in include/linux/swap.h */
const SWAP_HAS_CACHE = 0x40;
/** Largest count in the map byte. Higher counts have a continuation. @see SWAP_MAP_MAX */
const SWAP_MAP_MAX = 0x3e;
const SWAP_MAP_BAD = 0x3f;
const COUNT_MASK = 0x3f;

/** Free slots are searched by cluster of 256. @see SWAPFILE_CLUSTER */
const CLUSTER_SHIFT = 8;
const CLUSTER_SLOTS: number = 1 << CLUSTER_SHIFT;

/** A swap device or file. @see struct swap_info_struct */
export class SwapDevice {
  /** Number of the device in swap entries. */
  readonly type: number;
  readonly path: string;
  readonly kind: "partition" | "file";
  /**
   * Devices with a higher priority are filled first. A negative one was assigned by the kernel, and rises when a device
   * before it is removed.
   */
  priority: number;
  /** Usable slots: all but the first, which holds the header. */
  readonly pages: number;
  /** Slots in use. @see inuse_pages */
  used = 0;
  /** Whether slots may be allocated; false while swapoff(2) empties the device. @see SWP_WRITEOK */
  writeOk = true;
  /** By slot: number of entries that name it, and SWAP_HAS_CACHE. */
  private readonly map: Uint8Array;
  /** By slot: the part of its count above SWAP_MAP_MAX. @see COUNT_CONTINUED */
  private readonly continued = new Map<number, number>();
  /** By slot: the page of the swap cache; or below 0, the shadow of an evicted page; or 0. */
  private readonly cache: Int32Array;
  private readonly freeInCluster: Int16Array;
  /** Slot at which the next search begins. @see cluster_next */
  private cursor = 1;
  /** Contents of the slots. A slot of zeros takes no memory. */
  private readonly contents: PageContents;

  /**
   * @param type number of the device in swap entries
   * @param slots all slots, that of the header included
   */
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

  /**
   * Takes a free slot for a page that is about to enter the swap cache.
   *
   * @returns 0 if no slot is free
   * @see scan_swap_map_slots()
   */
  allocSlot(): number {
    if (!this.writeOk || this.used === this.pages) return 0;
    const slot = this.nextFree();
    this.map[slot] = SWAP_HAS_CACHE;
    this.cursor = slot + 1;
    this.takeFromCluster(slot, 1);
    this.used++;
    return slot;
  }

  /** Whether a slot is in use, by entries or by the cache. */
  inUse(slot: number): boolean {
    return this.map[slot] !== 0;
  }

  /** Number of entries that name a slot. @see swp_swapcount() */
  count(slot: number): number {
    return ((this.map[slot] as number) & COUNT_MASK) + (this.continued.get(slot) ?? 0);
  }

  hasCache(slot: number): boolean {
    return ((this.map[slot] as number) & SWAP_HAS_CACHE) !== 0;
  }

  /**
   * Counts one more entry for a slot.
   *
   * @throws KernelBug for a free slot
   * @see swap_duplicate()
   */
  duplicate(slot: number): void {
    const had = this.map[slot] as number;
    if (had === 0) this.unused(slot, "an entry is made");
    if ((had & COUNT_MASK) < SWAP_MAP_MAX) this.map[slot] = had + 1;
    else this.continued.set(slot, (this.continued.get(slot) ?? 0) + 1);
  }

  /**
   * Counts one entry less for a slot; releaseIfUnused() frees a slot without any.
   *
   * @throws KernelBug if no entry was counted
   * @see __swap_entry_free()
   */
  drop(slot: number): void {
    const more = this.continued.get(slot);
    if (more === undefined) {
      if (this.count(slot) === 0) this.unused(slot, "an entry goes");
      this.map[slot] = (this.map[slot] as number) - 1;
    } else if (more === 1) this.continued.delete(slot);
    else this.continued.set(slot, more - 1);
  }

  /**
   * Marks a slot as cached, before it is read into a page.
   *
   * @throws KernelBug if it is free, or cached already
   * @see swapcache_prepare()
   */
  setHasCache(slot: number): void {
    if (this.hasCache(slot) || !this.inUse(slot)) this.unused(slot, "a page enters the cache");
    this.map[slot] = (this.map[slot] as number) | SWAP_HAS_CACHE;
  }

  clearHasCache(slot: number): void {
    this.map[slot] = (this.map[slot] as number) & ~SWAP_HAS_CACHE;
  }

  /**
   * Frees a slot that neither entries nor the cache use.
   *
   * @returns false if the slot is in use
   * @see swap_entry_free()
   */
  releaseIfUnused(slot: number): boolean {
    if (this.map[slot] !== 0) return false;
    this.contents.clear(slot as Page);
    this.cache[slot] = NULL_PAGE;
    this.takeFromCluster(slot, -1);
    this.used--;
    return true;
  }

  /** The page of the swap cache for a slot; or below 0, the shadow of an evicted page; or 0. */
  cached(slot: number): number {
    return this.cache[slot] as number;
  }

  setCached(slot: number, pageOrShadow: number): void {
    this.cache[slot] = pageOrShadow;
  }

  /** The first slot in use at or behind `from`; 0 without one. @see find_next_to_unuse() */
  nextInUse(from: number): number {
    for (let slot = Math.max(from, 1); slot <= this.pages; slot++) if (this.map[slot] !== 0) return slot;
    return 0;
  }

  /** The contents of a slot; undefined for zeros. */
  bytes(slot: number): Uint8Array | undefined {
    return this.contents.bytes(slot as Page);
  }

  /** Sets the contents of a slot. @param bytes a page; undefined for zeros */
  write(slot: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.contents.clear(slot as Page);
    else this.contents.materialise(slot as Page).set(bytes);
  }

  /** The first free slot at or behind the cursor, else from the start on. The caller knows that there is one. */
  private nextFree(): number {
    const { map, freeInCluster } = this;
    const end = this.pages + 1;
    let slot = this.cursor;
    // Ends: a slot is free, and each turn passes one at least.
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
