// Port: the pool of huge pages that an administrator sets aside, which the process side keeps. /proc/meminfo and the files
// of nodes show it; a machine without processes has none. Kernel counterpart: hugetlb_report_meminfo() in mm/hugetlb.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";

/** Pages of 2 MiB. @see struct hstate */
export interface HugePageCounts {
  /** Free or in use, surplus ones among them. */
  readonly total: number;
  readonly free: number;
  /** Free ones that mappings were promised. */
  readonly reserved: number;
  /** Beyond what the administrator wants: they go when they are free. */
  readonly surplus: number;
}

export interface HugePages {
  readonly counts: HugePageCounts;
  nodeCounts(node: NodeId): Omit<HugePageCounts, "reserved">;
  /** Makes the pool larger or smaller, as far as that goes. @param node the only one to change, where count is its own @see set_max_huge_pages() */
  resize(count: number, node?: NodeId): Sleeps<void>;
}

const NOTHING = { total: 0, free: 0, surplus: 0 };

/** The pool of a machine without processes stays empty. */
export const noHugePages: HugePages = {
  counts: { ...NOTHING, reserved: 0 },
  nodeCounts: () => NOTHING,
  *resize() {},
};
