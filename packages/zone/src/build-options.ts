// Kernel options that decide which lines the files of this package have. The machine's composer knows which are set.
// Kernel counterparts: the #ifdefs of mm/vmstat.c, fs/proc/meminfo.c and drivers/base/node.c.

export type BuildOption =
  | "HUGETLB_PAGE"
  | "MEMORY_FAILURE"
  | "NUMA_BALANCING"
  | "SWAP"
  | "TRANSPARENT_HUGEPAGE"
  | "ZONE_DEVICE";

/** The options that are set. A set of their names is one. */
export interface BuildOptions {
  has(option: BuildOption): boolean;
}

/** A kernel with all of them. */
export const everyOption: BuildOptions = { has: () => true };
