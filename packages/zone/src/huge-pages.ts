// Port: the hugetlb pool, which the package of the process side implements. /proc/meminfo and the node files show its
// counts; on a machine without processes the pool is empty. Kernel counterpart: hugetlb_report_meminfo() in
// mm/hugetlb.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";

/** Counts of huge pages of 2 MiB. @see struct hstate in include/linux/hugetlb.h */
export interface HugePageCounts {
  /** Free and in use, surplus pages included. */
  readonly total: number;
  readonly free: number;
  /** Free pages reserved for mappings. */
  readonly reserved: number;
  /** Pages beyond nr_hugepages: each is freed to the buddy allocator once it is unused. */
  readonly surplus: number;
}

export interface HugePages {
  readonly counts: HugePageCounts;
  nodeCounts(node: NodeId): Omit<HugePageCounts, "reserved">;
  /**
   * Grows or shrinks the pool as far as possible.
   *
   * @param count wanted huge pages: of the whole pool, or of `node` when given
   * @param node the only node to change
   * @see set_max_huge_pages()
   */
  resize(count: number, node?: NodeId): Sleeps<void>;
}

const NOTHING = { total: 0, free: 0, surplus: 0 };

/** The empty pool of a machine without processes. */
export const noHugePages: HugePages = {
  counts: { ...NOTHING, reserved: 0 },
  nodeCounts: () => NOTHING,
  *resize() {},
};
