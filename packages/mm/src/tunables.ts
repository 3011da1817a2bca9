// Settings of an administrator in /proc/sys/vm, /proc/sys/kernel and /sys/kernel/mm, with the kernel's defaults. One
// object per machine holds them. The files that show and store them are in procfs.ts and in the packages whose rules
// they set. Kernel counterparts: vm_table in kernel/sysctl.c, and the variables that it names.
import { defaultReserve, MAX_ADMIN_RESERVE, MAX_USER_RESERVE } from "./vma/commit-reserves.ts";

export interface Tunables {
  /** Largest number of mappings of an address space. @see sysctl_max_map_count */
  maxMapCount: number;
  /** 0 heuristic, 1 always, 2 never. @see sysctl_overcommit_memory */
  overcommitMemory: 0 | 1 | 2;
  /**
   * CommitLimit of mode 2: a percentage of RAM, or an amount in KiB if that isn't 0. Setting one sets the other to 0.
   *
   * @see overcommit_ratio_handler()
   */
  overcommitRatio: number;
  overcommitKbytes: bigint;
  /** KiB that mode 2 keeps free for an administrator, and at most for a user. See vma/commit-reserves.ts. */
  adminReserveKbytes: bigint;
  userReserveKbytes: bigint;
  /** Lowest address that a process may map without CAP_SYS_RAWIO. */
  mmapMinAddr: number;
  /**
   * Percentages of free memory and page cache that may be dirty: above the first a writer must write back, and
   * writeback stops at the second.
   *
   * @see vm_dirty_ratio
   */
  dirtyRatio: number;
  dirtyBackgroundRatio: number;
  /** Preference for reclaiming anonymous pages over file pages, 0 to 200. */
  swappiness: number;
  /** /sys/kernel/mm/transparent_hugepage/enabled. */
  transparentHugepage: "always" | "madvise" | "never";
  /**
   * khugepaged/max_ptes_none, max_ptes_swap and max_ptes_shared: of 512 entries, how many may be empty, in swap, or
   * shared for a collapse.
   */
  khugepagedMaxPtesNone: number;
  khugepagedMaxPtesSwap: number;
  khugepagedMaxPtesShared: number;
  /** Pages that khugepaged scans between two sleeps, and the length of a sleep in milliseconds. */
  khugepagedPagesToScan: number;
  khugepagedScanSleepMillisecs: number;
  /** /proc/sys/kernel/numa_balancing. */
  numaBalancing: boolean;
  /** /sys/kernel/mm/numa/demotion_enabled. */
  demotionEnabled: boolean;
  /**
   * Send SIGBUS to processes that map bad memory at once, before they access it.
   *
   * @see sysctl_memory_failure_early_kill
   */
  memoryFailureEarlyKill: boolean;
  /** Let the OOM killer kill the allocating task instead of the one with the highest badness. */
  oomKillAllocatingTask: boolean;
}

/**
 * The kernel's defaults.
 *
 * @param freeKbytes free memory of the machine at boot, in KiB
 */
export function defaultTunables(freeKbytes: number): Tunables {
  return {
    maxMapCount: 65_530,
    overcommitMemory: 0,
    overcommitRatio: 50,
    overcommitKbytes: 0n,
    adminReserveKbytes: defaultReserve(freeKbytes, MAX_ADMIN_RESERVE),
    userReserveKbytes: defaultReserve(freeKbytes, MAX_USER_RESERVE),
    mmapMinAddr: 65_536,
    dirtyRatio: 20,
    dirtyBackgroundRatio: 10,
    swappiness: 60,
    transparentHugepage: "madvise",
    khugepagedMaxPtesNone: 511,
    khugepagedMaxPtesSwap: 64,
    khugepagedMaxPtesShared: 256,
    khugepagedPagesToScan: 4096,
    khugepagedScanSleepMillisecs: 10_000,
    numaBalancing: false,
    demotionEnabled: false,
    memoryFailureEarlyKill: false,
    oomKillAllocatingTask: false,
  };
}
