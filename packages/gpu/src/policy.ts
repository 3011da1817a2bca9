// Where pages should be: what a miss of the engine brings to the device, and what a touch of the cpu takes back. A policy
// is a value that a device is made with; the driver asks it, and moves nothing on its own. Kernel counterpart: none, each
// driver has its own (svm_range_best_restore_location() in drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
import { alignDown, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";

/** The engine needs [start, end) and has no entry for `start`. */
export interface Miss {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly write: boolean;
  /** How often the engine missed in the 64 KiB around `start`, this time included. */
  readonly misses: number;
}

/** What comes to the device; the driver cuts it to the mapping. */
export interface Placement {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
}

export interface GpuPolicy {
  readonly name: string;
  /** What comes to the device on a miss; undefined: the device reaches for the pages where they are. */
  onMiss(miss: Miss): Placement | undefined;
  /** What goes back when the cpu touches a page of private memory; it holds that page. */
  onCpuTouch(address: VirtAddr): Placement;
}

/** Pages stay where they are; the device reaches for them over the bus. */
export const mapInPlace: GpuPolicy = {
  name: "map-in-place",
  onMiss: () => undefined,
  onCpuTouch: onePage,
};

/** What the device touches comes to it. */
export const migrateOnTouch: GpuPolicy = {
  name: "migrate-on-touch",
  onMiss: ({ start, end }) => ({ start: pageOf(start), end }),
  onCpuTouch: onePage,
};

/**
 * The blocks around what is touched come along, and go back whole.
 *
 * @param bytes of a block, whole pages
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

/** Pages come once the device has missed in their neighbourhood so often: as access counters have it. */
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
