// What an administrator sets in /proc/sys/vm and /sys/kernel/mm, with the kernel's defaults.
import { defaultReserve, MAX_ADMIN_RESERVE, MAX_USER_RESERVE } from "./vma/commit-reserves.ts";

export interface Tunables {
  /** Mappings an address space may have. @see sysctl_max_map_count */
  maxMapCount: number;
  /** 0 guess, 1 always, 2 never more than there is. @see sysctl_overcommit_memory */
  overcommitMemory: 0 | 1 | 2;
  /** Percent of memory that may be promised in mode 2; or, where it isn't 0, kilobytes. Setting one makes the other 0. @see overcommit_ratio_handler() */
  overcommitRatio: number;
  overcommitKbytes: bigint;
  /** Kilobytes that mode 2 keeps for an administrator, and at most for a user, to save the machine with. */
  adminReserveKbytes: bigint;
  userReserveKbytes: bigint;
  /** Lowest address that a process may map. */
  mmapMinAddr: number;
  /** Percent of free memory and page cache that may be dirty before a writer has to write back, and down to what. @see vm_dirty_ratio */
  dirtyRatio: number;
  dirtyBackgroundRatio: number;
  /** How much rather anonymous pages are reclaimed than those of files: 0 to 200. */
  swappiness: number;
  /** /sys/kernel/mm/transparent_hugepage/enabled. */
  transparentHugepage: "always" | "madvise" | "never";
  /** khugepaged/max_ptes_none and its kin: of 512 entries, how many may be empty, in swap, or shared for the rest to become a huge page. */
  khugepagedMaxPtesNone: number;
  khugepagedMaxPtesSwap: number;
  khugepagedMaxPtesShared: number;
  /** Pages that khugepaged looks at before it sleeps, and for how long. */
  khugepagedPagesToScan: number;
  khugepagedScanSleepMillisecs: number;
  /** /proc/sys/kernel/numa_balancing. */
  numaBalancing: boolean;
  /** /sys/kernel/mm/numa/demotion_enabled. */
  demotionEnabled: boolean;
  /** Tell processes of bad memory that they map before they touch it. @see sysctl_memory_failure_early_kill */
  memoryFailureEarlyKill: boolean;
  /** Kill the process that asked rather than the worst one. */
  oomKillAllocatingTask: boolean;
}

/** @param freeKbytes free memory of the machine as it boots */
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
