// Reserved cache modes of physical ranges. Mappings of the same bytes must agree on the cache mode, or the processor
// may corrupt the data. Every mapping of device memory therefore reserves its mode here first, and a process's
// mapping uses the reserved mode, which makes DAX mappings write-back. RAM is always write-back and isn't tracked.
// Kernel counterpart: arch/x86/mm/pat/memtype.c and memtype_interval.c.
import { KernelBug, KernelError, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import {
  IORESOURCE_SYSTEM_RAM,
  REGION_DISJOINT,
  regionIntersects,
  type ResourceTree,
} from "@hetmem/resource";
import type { CacheMode } from "./memory-type.ts";
import type { ByteRange } from "./policies.ts";

/** @see struct memtype */
interface Memtype {
  readonly start: number;
  /** First byte after the range. */
  readonly end: number;
  readonly mode: CacheMode;
}

export class Memtypes {
  readonly #iomem: ResourceTree;
  /** Sorted by start. Ranges with the same mode may overlap. */
  readonly #entries: Memtype[] = [];
  /** Bytes of the longest entry ever: an entry that covers an address starts at most this far before it. */
  #longest = 0;

  constructor(iomem: ResourceTree) {
    this.#iomem = iomem;
  }

  /**
   * Reserves a range.
   *
   * @param wanted the wanted mode
   * @returns the mode of the overlapping reservations if there are any, else the wanted one
   * @throws KernelError EBUSY when overlapping reservations have different modes
   * @see memtype_reserve()
   */
  reserve({ start, size }: ByteRange, wanted: CacheMode): CacheMode {
    const end = start + size;
    let mode: CacheMode | undefined;
    for (const entry of this.#overlapping(start, end)) {
      if (mode !== undefined && entry.mode !== mode) throw conflict(start, end, mode, entry.mode);
      mode = entry.mode;
    }
    const entry = { start, end, mode: mode ?? wanted };
    this.#entries.splice(this.#firstFrom(start), 0, entry);
    this.#longest = Math.max(this.#longest, size);
    return entry.mode;
  }

  /** Frees a reservation. @throws KernelBug when no reservation has exactly this range @see memtype_free() */
  free({ start, size }: ByteRange): void {
    const at = this.#placeOf({ start, size });
    if (at >= 0) return void this.#entries.splice(at, 1);
    throw new KernelBug(
      `freeing invalid memtype [mem 0x${start.toString(16)}-0x${(start + size - 1).toString(16)}]`,
    );
  }

  /**
   * The mode of the page at a frame: write-back for RAM, the reserved mode, or uncached-minus without a reservation.
   *
   * @see lookup_memtype()
   */
  lookup(frame: Pfn): CacheMode {
    const start = frame * PAGE_SIZE;
    if (this.#isRam({ start, size: PAGE_SIZE })) return "write-back";
    for (const { mode } of this.#overlapping(start, start + PAGE_SIZE)) return mode;
    return "uncached-minus";
  }

  /**
   * Reserves a range for the direct map of a pagemap. RAM needs no reservation.
   *
   * @throws KernelError EINVAL when the range is reserved in an incompatible mode, EBUSY as reserve()
   * @see track_pfn_remap()
   * @see "mm: fix cache mode of dax pmd mappings" (2016): they were uncached, since their range wasn't reserved
   */
  trackPfnRemap(range: ByteRange, wanted: CacheMode): void {
    if (this.#isRam(range)) return;
    const mode = this.reserve(range, wanted);
    if (isNewMemtypeAllowed(wanted, mode)) return;
    this.free(range);
    throw new KernelError(
      "EINVAL",
      `0x${range.start.toString(16)} is mapped ${mode}, and is wanted ${wanted}`,
    );
  }

  /**
   * Frees the reservation of trackPfnRemap(), if it made one. Not finding one is no error: RAM isn't reserved.
   *
   * @see untrack_pfn()
   */
  untrackPfn(range: ByteRange): void {
    const at = this.#placeOf(range);
    if (at >= 0) this.#entries.splice(at, 1);
  }

  /** The cache mode for a page table entry of any size. @see track_pfn_insert() */
  trackPfnInsert(frame: Pfn): CacheMode {
    return this.lookup(frame);
  }

  /** Number of reservations. */
  get count(): number {
    return this.#entries.length;
  }

  #isRam({ start, size }: ByteRange): boolean {
    return regionIntersects(this.#iomem, start, size, IORESOURCE_SYSTEM_RAM) !== REGION_DISJOINT;
  }

  /** Index of the reservation with exactly this range, or -1. */
  #placeOf({ start, size }: ByteRange): number {
    let at = this.#firstFrom(start);
    while (this.#entries[at]?.start === start && this.#entries[at]?.end !== start + size) at++;
    return this.#entries[at]?.start === start ? at : -1;
  }

  *#overlapping(start: number, end: number): Generator<Memtype, void, void> {
    for (let at = this.#firstFrom(start - this.#longest); at < this.#entries.length; at++) {
      const entry = this.#entries[at] as Memtype;
      if (entry.start >= end) return;
      if (entry.end > start) yield entry;
    }
  }

  /** Index of the first entry that starts at or after an address. */
  #firstFrom(start: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.start ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Whether a mapping wanted in one mode may get another.
 *
 * @see is_new_memtype_allowed() in arch/x86/include/asm/pgtable.h
 */
export function isNewMemtypeAllowed(wanted: CacheMode, got: CacheMode): boolean {
  if (got === "write-back") return wanted === "write-back";
  return !(wanted === "write-through" && got === "write-combining");
}

function conflict(start: number, end: number, one: CacheMode, other: CacheMode): KernelError {
  return new KernelError(
    "EBUSY",
    `conflicting memory types 0x${start.toString(16)}-0x${(end - 1).toString(16)} ${one}<->${other}`,
  );
}
