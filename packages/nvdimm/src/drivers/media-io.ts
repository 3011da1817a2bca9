// Access to the bytes of a region: machine-check-safe loads, non-temporal stores, flushing, and the firmware command
// that clears errors. Kernel counterparts: copy_mc_to_kernel(), memcpy_flushcache(), nvdimm_flush() in
// drivers/nvdimm/region_devs.c, nvdimm_clear_poison() in drivers/nvdimm/bus.c.
import { alignDown, KernelBug, KernelError, PAGE_SIZE } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import type { RegionMedia } from "../devices/ports.ts";
import type { MediaExtent, Region } from "../devices/region.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import type { Range } from "../errors/range-set.ts";
import { CLEAR_ERROR_UNIT } from "../media/dimm-media.ts";
import { CACHE_LINE, type MediaPages } from "../media/media-pages.ts";

/**
 * Reads bytes. A bad cell raises a machine check: the load fails, and the error is reported.
 *
 * @param spa physical address
 * @param into receives the bytes
 * @throws KernelError EIO for a bad cell
 * @see copy_mc_to_kernel()
 */
export function loadBytes(region: Region, spa: number, into: Uint8Array): void {
  for (const { media, dpa, spa: at, size } of region.extents(spa, into.length)) {
    const [bad] = media.poison.within(dpa, dpa + size);
    if (bad) {
      const address = alignDown(at + bad.start - dpa, CACHE_LINE);
      region.bus.work.machineCheck(address);
      throw new KernelError(
        "EIO",
        `the memory at 0x${address.toString(16)} can't be read: write to its sector, or clear the error`,
      );
    }
    media.pages.read(dpa, into.subarray(at - spa, at - spa + size));
  }
}

/** Writes bytes past the caches into the memory controller's write queue. @see memcpy_flushcache() */
export function storeBytes(region: Region, spa: number, from: Uint8Array): void {
  for (const { media, dpa, spa: at, size } of region.extents(spa, from.length)) {
    media.pages.store(dpa, from.subarray(at - spa, at - spa + size));
    media.pages.flush(dpa, size);
  }
}

/** Ordinary stores, as by a process with a mapping: the bytes stay in the caches. */
export function storeCached(region: Region, spa: number, from: Uint8Array): void {
  for (const { media, dpa, spa: at, size } of region.extents(spa, from.length))
    media.pages.store(dpa, from.subarray(at - spa, at - spa + size));
}

/**
 * The contents of a region for all mappings of it. Stores stay in the caches.
 */
export function mediaOf(region: Region): RegionMedia {
  return {
    has(spa) {
      const { pages, index } = pageAt(region, spa);
      return pages.has(index);
    },
    bytes(spa) {
      const { pages, index } = pageAt(region, spa);
      return pages.bytesOf(index);
    },
    writeback: (spa, size) => writebackCache(region, spa, size),
  };
}

/** Flushes cache lines to the memory controller's write queue. @see arch_wb_cache_pmem() */
export function writebackCache(region: Region, spa: number, size: number): void {
  for (const extent of region.extents(spa, size)) extent.media.pages.flush(extent.dpa, extent.size);
}

/**
 * Drains the write queues of modules with flush hints. The platform flushes the others at a power failure.
 *
 * @see generic_nvdimm_flush()
 */
export function nvdimmFlush(region: Region): void {
  for (const { dimm } of region.mappings) if (dimm.flushHints > 0) dimm.media.pages.drain();
}

/** Unreadable physical addresses in a range, listed as bad or not. */
export function poisonOf(region: Region, spa: number, size: number): Range[] {
  return badCells(region, spa, size, ({ media }) => media.poison);
}

/** Unreadable physical addresses in a range that the firmware knows of. @see ND_ARS_RETURN_PREV_DATA */
export function knownPoisonOf(region: Region, spa: number, size: number): Range[] {
  return badCells(region, spa, size, ({ media }) => media.knownPoison);
}

/**
 * Has the firmware make a range readable again.
 *
 * @param spa physical address
 * @param size bytes
 * @returns cleared bytes: always `size`
 * @throws KernelError ENXIO when the range isn't whole clear-error units, ENOTTY when the firmware lacks the command
 * @see nvdimm_clear_poison()
 */
export function clearPoison(bus: NvdimmBus, region: Region, spa: number, size: number): number {
  if (bus.firmware === "none") return size;
  if (bus.firmware !== "ars")
    throw new KernelError("ENOTTY", `the firmware of ${bus.name} can't clear errors`);
  if (spa % CLEAR_ERROR_UNIT !== 0 || size % CLEAR_ERROR_UNIT !== 0)
    throw new KernelError("ENXIO", `errors are cleared in units of ${CLEAR_ERROR_UNIT} bytes`);
  for (const { media, dpa, size: length } of region.extents(spa, size)) media.repair(dpa, length);
  accountClearedPoison(bus, spa, size);
  return size;
}

/** Removes a cleared range from the lists of bad ranges. @see nvdimm_account_cleared_poison() */
function accountClearedPoison(bus: NvdimmBus, spa: number, size: number): void {
  bus.badrange.remove(spa, spa + size);
  for (const region of bus.regions) {
    if (spa < region.start || spa + size > region.end) continue;
    const sector = Math.floor((spa - region.start) / SECTOR_SIZE);
    region.badblocks.clear(sector, Math.floor(size / SECTOR_SIZE));
  }
}

/** The module page of a region page. */
function pageAt(region: Region, spa: number): { readonly pages: MediaPages; readonly index: number } {
  const [extent] = region.extents(spa, PAGE_SIZE);
  if (extent?.size !== PAGE_SIZE || extent.dpa % PAGE_SIZE !== 0)
    throw new KernelBug(`0x${spa.toString(16)} is no page of ${region.name}`);
  return { pages: extent.media.pages, index: extent.dpa / PAGE_SIZE };
}

function badCells(
  region: Region,
  spa: number,
  size: number,
  cellsOf: (extent: MediaExtent) => { within(start: number, end: number): Range[] },
): Range[] {
  if (
    region.media.every(
      (media) => cellsOf({ media, dpa: 0, spa: 0, size: 0 }).within(0, media.capacity).length === 0,
    )
  )
    return [];
  return [...region.extents(spa, size)].flatMap((extent) =>
    cellsOf(extent)
      .within(extent.dpa, extent.dpa + extent.size)
      .map(({ start, end }) => ({
        start: extent.spa + start - extent.dpa,
        end: extent.spa + end - extent.dpa,
      })),
  );
}
