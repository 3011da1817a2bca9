// memremap(): maps memory without side effects for the kernel, in the first accepted cache mode that works. RAM is
// served from the direct map and is never mapped a second time in another mode. Kernel counterpart: kernel/iomem.c,
// __ioremap_caller() in arch/x86/mm/ioremap.c.
import {
  alignDown,
  alignUp,
  bugOn,
  KernelError,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  physAddr,
  physToPfn,
} from "@hetmem/kernel";
import { type MemMap, PageFlag } from "@hetmem/page";
import {
  iomemMatches,
  IORESOURCE_SYSTEM_RAM,
  REGION_INTERSECTS,
  REGION_MIXED,
  regionIntersects,
} from "@hetmem/resource";
import type { MemoryHotplug } from "@hetmem/zone";
import { type ArchMemremap, Memremap, plainMemory } from "./arch-memremap.ts";
import type { CacheMode } from "./memory-type.ts";
import { isNewMemtypeAllowed, type Memtypes } from "./memtype.ts";

/** A kernel mapping. memremap() returns this object instead of a virtual address. */
export interface IoMapping {
  readonly start: PhysAddr;
  /** Bytes. */
  readonly size: number;
  readonly mode: CacheMode;
  /** Whether the mapping is part of the direct map; memunmap() then does nothing. */
  readonly direct: boolean;
  readonly encrypted: boolean;
}

export class IoMappings {
  readonly #hotplug: MemoryHotplug;
  readonly #memmap: MemMap;
  readonly #memtypes: Memtypes;
  readonly #arch: ArchMemremap;
  readonly #mapped = new Set<IoMapping>();

  /** @param memtypes the reservations shared with Pagemaps */
  constructor(hotplug: MemoryHotplug, memtypes: Memtypes, arch: ArchMemremap = plainMemory) {
    this.#hotplug = hotplug;
    this.#memmap = hotplug.memory.memmap;
    this.#memtypes = memtypes;
    this.#arch = arch;
  }

  /**
   * Maps memory in the first of the modes WB, WT and WC that is set in `flags` and works.
   *
   * @param start first byte
   * @param size bytes
   * @param flags Memremap bits, the same for each attempt ("memremap: don't modify flags", 2016)
   * @returns undefined when no mode works; the log says why
   * @see memremap() in kernel/iomem.c
   */
  memremap(start: PhysAddr, size: number, flags: number): IoMapping | undefined {
    if (flags === 0) return undefined;
    const ram = regionIntersects(this.#hotplug.iomem, start, size, IORESOURCE_SYSTEM_RAM);
    if (ram === REGION_MIXED) return this.#refuse("memremap attempted on mixed range", start, size);
    const isRam = ram === REGION_INTERSECTS;
    const writeBack = (flags & Memremap.WB) !== 0 ? this.#writeBack(start, size, flags, isRam) : undefined;
    if (writeBack) return writeBack;
    if (isRam && flags !== Memremap.WB) return this.#refuse("memremap attempted on ram", start, size);
    const through = (flags & Memremap.WT) !== 0 ? this.#ioremap(start, size, "write-through") : undefined;
    if (through) return through;
    return (flags & Memremap.WC) !== 0 ? this.#ioremap(start, size, "write-combining") : undefined;
  }

  /** Unmaps. @throws KernelBug for a mapping that isn't mapped @see memunmap() */
  memunmap(mapping: IoMapping): void {
    if (mapping.direct) return;
    bugOn(!this.#mapped.delete(mapping), `unmapping 0x${mapping.start.toString(16)}, which isn't mapped`);
    this.#memtypes.free(pagesOf(mapping.start, mapping.size));
  }

  /** Number of mappings that need memunmap(). */
  get count(): number {
    return this.#mapped.size;
  }

  #writeBack(start: PhysAddr, size: number, flags: number, isRam: boolean): IoMapping | undefined {
    if (isRam && this.#inDirectMap(start, size, flags))
      return {
        start,
        size,
        mode: "write-back",
        direct: true,
        encrypted: this.#arch.encrypts({ start, size }),
      };
    return this.#ioremap(start, size, "write-back");
  }

  /**
   * Whether RAM can be served from the direct map. A System RAM resource may contain frames without struct pages,
   * which the direct map doesn't cover.
   *
   * @see try_ram_remap()
   * @see "memremap: check pfn validity before passing to pfn_to_page()"
   */
  #inDirectMap(start: PhysAddr, size: number, flags: number): boolean {
    return this.#memmap.pfnValid(physToPfn(start)) && this.#arch.canRamRemap({ start, size }, flags);
  }

  /** Creates a new mapping outside of the direct map. @see __ioremap_caller() */
  #ioremap(start: PhysAddr, size: number, wanted: CacheMode): IoMapping | undefined {
    if (!(size > 0)) return undefined;
    if (this.#usesRam(start, size)) return this.#refuse("ioremap on RAM at", start, size);
    const pages = pagesOf(start, size);
    const mode = this.#reserve(pages, wanted);
    if (mode === undefined) return undefined;
    const mapping = { start, size, mode, direct: false, encrypted: this.#arch.encrypts({ start, size }) };
    this.#mapped.add(mapping);
    return mapping;
  }

  #reserve(
    pages: { readonly start: number; readonly size: number },
    wanted: CacheMode,
  ): CacheMode | undefined {
    try {
      const mode = this.#memtypes.reserve(pages, wanted);
      if (isNewMemtypeAllowed(wanted, mode)) return mode;
      this.#memtypes.free(pages);
      return this.#refuse(
        `ioremap error, requested ${wanted}, got ${mode} for`,
        physAddr(pages.start),
        pages.size,
      );
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return this.#refuse("ioremap memtype_reserve failed for", physAddr(pages.start), pages.size);
    }
  }

  /**
   * Whether the range holds RAM that may be in use: reserved pages and holes don't count.
   *
   * @see __ioremap_check_ram()
   */
  #usesRam(start: PhysAddr, size: number): boolean {
    const { iomem } = this.#hotplug;
    for (const ram of iomemMatches(iomem, start, start + size - 1, IORESOURCE_SYSTEM_RAM)) {
      const end = Math.floor((ram.end + 1) / PAGE_SIZE);
      for (let frame = Math.ceil(ram.start / PAGE_SIZE); frame < end; frame++)
        if (this.#inUse(frame as Pfn)) return true;
    }
    return false;
  }

  #inUse(frame: Pfn): boolean {
    if (!this.#memmap.pfnValid(frame)) return false;
    const page = this.#memmap.pfnToPage(frame);
    return !this.#memmap.initialised(page) || !this.#memmap.test(page, PageFlag.reserved);
  }

  #refuse(why: string, start: PhysAddr, size: number): undefined {
    const range = `0x${start.toString(16)} size: 0x${size.toString(16)}`;
    this.#hotplug.memory.kernel.log.printk(4, `${why} ${range}`);
    return undefined;
  }
}

/** The whole pages of a range. */
function pagesOf(start: number, size: number): { readonly start: number; readonly size: number } {
  const first = alignDown(start, PAGE_SIZE);
  return { start: first, size: alignUp(start + size, PAGE_SIZE) - first };
}
