// What an administrator sets in /proc/sys/vm and /sys/kernel/mm, with the kernel's defaults.
import { MiB } from "@hetmem/kernel";

export interface Tunables {
  /** Mappings an address space may have. @see sysctl_max_map_count */
  maxMapCount: number;
  /** 0 guess, 1 always, 2 never more than there is. @see sysctl_overcommit_memory */
  overcommitMemory: 0 | 1 | 2;
  /** Percent of memory that may be promised in mode 2. */
  overcommitRatio: number;
  /** Lowest address that a process may map. */
  mmapMinAddr: number;
  /** Percent of free memory and page cache that may be dirty before a writer has to write back, and down to what. @see vm_dirty_ratio */
  dirtyRatio: number;
  dirtyBackgroundRatio: number;
  /** How much rather anonymous pages are reclaimed than those of files: 0 to 200. */
  swappiness: number;
  /** Bytes that a process may lock. @see RLIMIT_MEMLOCK */
  memlockLimit: number;
  /** Bytes that a process may map. @see RLIMIT_AS */
  addressSpaceLimit: number;
  /** Bytes of private writable memory that a process may map. @see RLIMIT_DATA */
  dataLimit: number;
  /** Bytes that a stack may grow to. @see RLIMIT_STACK */
  stackLimit: number;
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

export function defaultTunables(): Tunables {
  return {
    maxMapCount: 65_530,
    overcommitMemory: 0,
    overcommitRatio: 50,
    mmapMinAddr: 65_536,
    dirtyRatio: 20,
    dirtyBackgroundRatio: 10,
    swappiness: 60,
    memlockLimit: 8 * MiB,
    addressSpaceLimit: Number.POSITIVE_INFINITY,
    dataLimit: Number.POSITIVE_INFINITY,
    stackLimit: 8 * MiB,
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
