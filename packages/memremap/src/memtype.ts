// Which ranges are mapped in which cache mode. Two mappings of the same bytes must agree, or the processor may corrupt
// them, so that everybody who maps device memory asks here first, and a process's mapping of it takes what was
// recorded: this is what makes DAX mappings write-back. RAM isn't tracked: it is write-back. Kernel counterpart:
// arch/x86/mm/pat/memtype.c and memtype_interval.c.
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
  /** First byte behind it. */
  readonly end: number;
  readonly mode: CacheMode;
}

export class Memtypes {
  readonly #iomem: ResourceTree;
  /** By first byte; ranges may overlap where they agree. */
  readonly #entries: Memtype[] = [];
  /** Bytes of the longest entry there ever was: how far before an address an entry may begin that covers it. */
  #longest = 0;

  constructor(iomem: ResourceTree) {
    this.#iomem = iomem;
  }

  /**
   * Reserves a range.
   *
   * @returns the mode that it has now: what an overlapping reservation has, else the one that was wanted
   * @throws KernelError EBUSY where reservations disagree among themselves
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

  /** Gives a reservation back. @throws KernelBug when there is none with these ends @see memtype_free() */
  free({ start, size }: ByteRange): void {
    const at = this.#placeOf({ start, size });
    if (at >= 0) return void this.#entries.splice(at, 1);
    throw new KernelBug(
      `freeing invalid memtype [mem 0x${start.toString(16)}-0x${(start + size - 1).toString(16)}]`,
    );
  }

  /** The mode of the page at a frame: what nobody reserved, and isn't RAM, is uncached. @see lookup_memtype() */
  lookup(frame: Pfn): CacheMode {
    const start = frame * PAGE_SIZE;
    if (this.#isRam({ start, size: PAGE_SIZE })) return "write-back";
    for (const { mode } of this.#overlapping(start, start + PAGE_SIZE)) return mode;
    return "uncached-minus";
  }

  /**
   * Reserves a range for the direct map of a pagemap.
   *
   * @throws KernelError EINVAL when it is mapped in another mode that doesn't do, EBUSY as reserve()
   * @see track_pfn_remap()
   * @see "mm: fix cache mode of dax pmd mappings" (2016): they were uncached, as nobody had reserved their range
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

  /** Gives back what trackPfnRemap() reserved, if anything. Somebody may have called the range RAM since. @see untrack_pfn() */
  untrackPfn(range: ByteRange): void {
    const at = this.#placeOf(range);
    if (at >= 0) this.#entries.splice(at, 1);
  }

  /** The mode for an entry of a process's page table, whether it maps 4 KiB or more. @see track_pfn_insert() */
  trackPfnInsert(frame: Pfn): CacheMode {
    return this.lookup(frame);
  }

  /** Reservations now. */
  get count(): number {
    return this.#entries.length;
  }

  #isRam({ start, size }: ByteRange): boolean {
    return regionIntersects(this.#iomem, start, size, IORESOURCE_SYSTEM_RAM) !== REGION_DISJOINT;
  }

  /** Place of a reservation with these ends, -1 where there is none. */
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

  /** Place of the first entry that begins at or behind an address. */
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

/** Whether who wanted one mode can do with another. @see is_new_memtype_allowed() in arch/x86/include/asm/pgtable.h */
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
