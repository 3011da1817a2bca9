// The ports of this package: mapping of memory, creation of dax devices, and the keyring. Kernel counterparts:
// devm_memremap(), devm_memremap_pages(), alloc_dax_region() with devm_create_dev_dax(), and request_key().
import type { MediaPoison, Sleeps } from "@hetmem/kernel";
import type { Range } from "../errors/range-set.ts";
import type { Uuid } from "../labels/uuid.ts";

/** Location of struct pages inside the namespace, in frames. @see struct vmem_altmap in include/linux/memremap.h */
export interface PagemapAltmap {
  readonly basePfn: number;
  /** Reserved frames at the start, which hold the info block. */
  readonly reserve: number;
  /** Frames after those for struct pages. */
  readonly free: number;
}

/** A range to map with struct pages. @see struct dev_pagemap */
export interface PagemapRequest {
  /** Range in bytes, including the info block and the struct pages. */
  readonly range: Range;
  /** `--map=dev`; undefined for `--map=mem`. */
  readonly altmap: PagemapAltmap | undefined;
}

/** A devdax namespace for the dax bus. @see __dax_pmem_probe() in drivers/dax/pmem.c */
export interface DaxRegionRequest {
  /** Path of the parent device below /sys: `/devices/…/ndbus0/region0/dax0.0`. */
  readonly parent: string;
  readonly regionId: number;
  /** Number of the namespace and of the dax device: `dax0.1`. */
  readonly id: number;
  /** The data area. */
  readonly range: Range;
  /** Bytes. */
  readonly align: number;
  readonly numaNode: number;
  readonly targetNode: number;
  readonly pagemap: PagemapRequest;
  /** Bad ranges of the namespace, for the dax device made of it. Physical addresses. */
  readonly poison: MediaPoison;
}

/** A mapping. release() waits for users of its pages. */
export interface NvdimmMapping {
  release(): Sleeps<void>;
}

/** A dax region, whichever driver its device is bound to. */
export interface DaxRegionMapping extends NvdimmMapping {
  /**
   * Reports newly found bad memory, once per range. Called with locks held, so implementations must queue the report.
   *
   * @see memory_failure_queue()
   */
  memoryFailureQueue(bad: Range): void;
}

/** The contents of a region by page. `page` is the physical address of a page. */
export interface RegionMedia {
  /** Whether a page was ever stored to; else it reads as zeros. */
  has(page: number): boolean;
  /** The bytes of a page, for loads and stores. The array is valid until a power cycle. */
  bytes(page: number): Uint8Array;
  /** Writes cache lines back to the write queue. `start` need not be page-aligned. @see arch_wb_cache_pmem() */
  writeback(start: number, size: number): void;
}

export interface NvdimmMappings {
  /** Attaches a region's media to its physical addresses. Called once per region, before anything of it is mapped. */
  attach(range: Range, media: RegionMedia): void;
  /** Maps memory without struct pages. @see devm_memremap() */
  memremap(range: Range): Sleeps<NvdimmMapping>;
  /** Maps memory with struct pages of type FS_DAX. @see devm_memremap_pages() */
  memremapPages(request: PagemapRequest): Sleeps<NvdimmMapping>;
  /** Creates a static dax region with one device that covers it. @see alloc_dax_region(), devm_create_dev_dax() */
  createDaxRegion(request: DaxRegionRequest): Sleeps<DaxRegionMapping>;
}

/**
 * Port: the keyring with passphrases.
 *
 * @see nvdimm_request_key(), nvdimm_lookup_user_key() in drivers/nvdimm/security.c
 */
export interface SecurityKeys {
  /** The passphrase of a module, requested at its probe; undefined for none. */
  request(dimmId: string): string | undefined;
  /** The key with a serial number; undefined for none. */
  lookup(serial: number): string | undefined;
}

/** Port: generates uuids of namespaces from the machine's seed. */
export type NewUuid = () => Uuid;
