// The GFP mask of an allocation. Kernel counterpart: include/linux/gfp_types.h.
import { MigrateType, ZoneType } from "./zone-type.ts";

/** Single bits. Their numbers are the model's, not the kernel's. */
export const Gfp = {
  DMA: 1 << 0,
  HIGHMEM: 1 << 1,
  DMA32: 1 << 2,
  /** The page can be moved to another frame. */
  MOVABLE: 1 << 3,
  /** A shrinker frees the page under memory pressure. */
  RECLAIMABLE: 1 << 4,
  /** The request may use half of the reserve below the min watermark. */
  HIGH: 1 << 5,
  IO: 1 << 6,
  FS: 1 << 7,
  /** The page's contents must be zeros. */
  ZERO: 1 << 8,
  DIRECT_RECLAIM: 1 << 9,
  KSWAPD_RECLAIM: 1 << 10,
  NOWARN: 1 << 11,
  RETRY_MAYFAIL: 1 << 12,
  NOFAIL: 1 << 13,
  NORETRY: 1 << 14,
  /** The pages become one compound page. */
  COMP: 1 << 15,
  MEMALLOC: 1 << 16,
  NOMEMALLOC: 1 << 17,
  HARDWALL: 1 << 18,
  /** Only the given node may serve the request. */
  THISNODE: 1 << 19,
  /** The page is charged to the caller's memory cgroup. */
  ACCOUNT: 1 << 20,
} as const;

/** The request does not wait, and wakes kswapd. */
export const GFP_NOWAIT: number = Gfp.KSWAPD_RECLAIM;
/** The request does not wait, wakes kswapd, and may use a part of the reserves. */
export const GFP_ATOMIC: number = Gfp.HIGH | Gfp.KSWAPD_RECLAIM;
const RECLAIM = Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM;
/** The usual request of the kernel: it may reclaim and start I/O. */
export const GFP_KERNEL: number = RECLAIM | Gfp.IO | Gfp.FS;
/** GFP_KERNEL, charged to the memory cgroup of the caller. */
export const GFP_KERNEL_ACCOUNT: number = GFP_KERNEL | Gfp.ACCOUNT;
/** Memory for user space that the kernel accesses, too. */
export const GFP_USER: number = GFP_KERNEL | Gfp.HARDWALL;
/** Memory for user space that the kernel does not access directly. */
export const GFP_HIGHUSER: number = GFP_USER | Gfp.HIGHMEM;
/** Memory of processes, which can be migrated: it may come from ZONE_MOVABLE. */
export const GFP_HIGHUSER_MOVABLE: number = GFP_HIGHUSER | Gfp.MOVABLE;
/** A huge page of a process: the request fails without a warning. */
export const GFP_TRANSHUGE: number =
  (GFP_HIGHUSER_MOVABLE | Gfp.COMP | Gfp.NOMEMALLOC | Gfp.NOWARN) & ~Gfp.KSWAPD_RECLAIM;

/** The highest zone that may serve the request. @see gfp_zone() in include/linux/gfp.h */
export function gfpZone(gfp: number): ZoneType {
  if ((gfp & Gfp.DMA) !== 0) return ZoneType.DMA;
  if ((gfp & Gfp.DMA32) !== 0) return ZoneType.DMA32;
  const movable = Gfp.HIGHMEM | Gfp.MOVABLE;
  return (gfp & movable) === movable ? ZoneType.Movable : ZoneType.Normal;
}

/** The migrate type of the pageblock that should serve the request. @see gfp_migratetype() */
export function gfpMigrateType(gfp: number): MigrateType {
  if ((gfp & Gfp.MOVABLE) !== 0) return MigrateType.Movable;
  return (gfp & Gfp.RECLAIMABLE) !== 0 ? MigrateType.Reclaimable : MigrateType.Unmovable;
}
