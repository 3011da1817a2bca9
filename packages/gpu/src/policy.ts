// Migration policies: the range to migrate to the device on a miss of the engine, and the range to migrate back on a
// cpu fault. A device is created with a policy; the driver migrates only what it returns. Kernel counterpart:
// specific to each driver (svm_range_best_restore_location() in drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
import { alignDown, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";

/** A miss: the engine needs [start, end) and has no entry for `start`. */
export interface Miss {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly write: boolean;
  /** Number of misses in the 64 KiB block of `start`, including this one. */
  readonly misses: number;
}

/** A range to migrate. The driver clips it to mappings. */
export interface Placement {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
}

export interface GpuPolicy {
  readonly name: string;
  /** The range to migrate to the device on a miss; undefined to map the pages in place. */
  onMiss(miss: Miss): Placement | undefined;
  /** The range to migrate back on a cpu fault at `address`; must contain that page. */
  onCpuTouch(address: VirtAddr): Placement;
}

/** Pages stay in place; the device accesses them over the bus. */
export const mapInPlace: GpuPolicy = {
  name: "map-in-place",
  onMiss: () => undefined,
  onCpuTouch: onePage,
};

/** Pages migrate to the device at its first access. */
export const migrateOnTouch: GpuPolicy = {
  name: "migrate-on-touch",
  onMiss: ({ start, end }) => ({ start: pageOf(start), end }),
  onCpuTouch: onePage,
};

/**
 * Whole blocks migrate in both directions.
 *
 * @param bytes block size, a multiple of the page size
 */
export function prefetchBlocks(bytes: number): GpuPolicy {
  const around = (start: VirtAddr, end: VirtAddr): Placement => ({
    start: alignDown(start, bytes) as VirtAddr,
    end: (alignDown(end - 1, bytes) + bytes) as VirtAddr,
  });
  return {
    name: `prefetch-${bytes / 1024}k`,
    onMiss: ({ start, end }) => around(start, end),
    onCpuTouch: (address) => around(address, (address + PAGE_SIZE) as VirtAddr),
  };
}

/** Pages migrate after a number of misses in their 64 KiB block, as with access counters. */
export function migrateAfter(misses: number): GpuPolicy {
  return {
    name: `migrate-after-${misses}`,
    onMiss: (miss) => (miss.misses >= misses ? { start: pageOf(miss.start), end: miss.end } : undefined),
    onCpuTouch: onePage,
  };
}

function onePage(address: VirtAddr): Placement {
  const start = pageOf(address);
  return { start, end: (start + PAGE_SIZE) as VirtAddr };
}

function pageOf(address: VirtAddr): VirtAddr {
  return (address - (address % PAGE_SIZE)) as VirtAddr;
}
