// What this package asks of those who plug it in: somebody who maps memory, somebody who makes dax devices, and the user's
// keyring. Kernel counterparts: devm_memremap(), devm_memremap_pages(), alloc_dax_region() with devm_create_dev_dax(), and
// request_key().
import type { MediaPoison, Sleeps } from "@hetmem/kernel";
import type { Range } from "../errors/range-set.ts";
import type { Uuid } from "../labels/uuid.ts";

/** Struct pages that live in the namespace itself, in frames. @see struct vmem_altmap in include/linux/memremap.h */
export interface PagemapAltmap {
  readonly basePfn: number;
  /** Frames at the start that are somebody else's: the info block. */
  readonly reserve: number;
  /** Frames behind those that struct pages may take. */
  readonly free: number;
}

/** What is to get struct pages. @see struct dev_pagemap */
export interface PagemapRequest {
  /** Bytes, the info block and the struct pages among them. */
  readonly range: Range;
  /** `--map=dev`; undefined for `--map=mem`. */
  readonly altmap: PagemapAltmap | undefined;
}

/** A devdax namespace for the dax bus. @see __dax_pmem_probe() in drivers/dax/pmem.c */
export interface DaxRegionRequest {
  /** Path of the parent device below /sys: `/devices/…/ndbus0/region0/dax0.0`. */
  readonly parent: string;
  readonly regionId: number;
  /** The namespace's number, which the device bears too: `dax0.1`. */
  readonly id: number;
  /** Where data is. */
  readonly range: Range;
  /** Bytes. */
  readonly align: number;
  readonly numaNode: number;
  readonly targetNode: number;
  readonly pagemap: PagemapRequest;
  /** Bad ranges of the namespace, for the dax device made of it. Physical addresses. */
  readonly poison: MediaPoison;
}

/** Something mapped, until it is released. Releasing waits for whoever still uses its pages. */
export interface NvdimmMapping {
  release(): Sleeps<void>;
}

/** A dax region, whatever the bus has made of it: RAM, too. */
export interface DaxRegionMapping extends NvdimmMapping {
  /** A part of it has turned out to be bad. Told once, and while locks are held: who uses it is told later. @see memory_failure_queue() */
  memoryFailureQueue(bad: Range): void;
}

/** The memory of a region, page by page. Physical addresses of pages. */
export interface RegionMedia {
  /** Whether anything was ever stored to a page: else it reads as zeros. */
  has(page: number): boolean;
  /** The bytes of a page, to load and to store. They are the page's until the power goes. */
  bytes(page: number): Uint8Array;
  /** Cache lines go to the write queue; the address need not be a page's. @see arch_wb_cache_pmem() */
  writeback(start: number, size: number): void;
}

export interface NvdimmMappings {
  /** What answers at the addresses of a region. Told once a region, before any of it is mapped. */
  attach(range: Range, media: RegionMedia): void;
  /** Memory without struct pages. @see devm_memremap() */
  memremap(range: Range): Sleeps<NvdimmMapping>;
  /** Memory of type FS_DAX. @see devm_memremap_pages() */
  memremapPages(request: PagemapRequest): Sleeps<NvdimmMapping>;
  /** A static dax region with one device that covers it. @see alloc_dax_region(), devm_create_dev_dax() */
  createDaxRegion(request: DaxRegionRequest): Sleeps<DaxRegionMapping>;
}

/** Passphrases. @see nvdimm_request_key(), nvdimm_lookup_user_key() in drivers/nvdimm/security.c */
export interface SecurityKeys {
  /** What the keyring holds for a module when it is probed. */
  request(dimmId: string): string | undefined;
  /** A key by its serial number. */
  lookup(serial: number): string | undefined;
}

/** New names for namespaces; from the machine's seed. */
export type NewUuid = () => Uuid;
