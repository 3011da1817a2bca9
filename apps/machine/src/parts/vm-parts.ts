// The parts of a machine's address spaces: the page cache, reclaim and swap, pools of huge pages, khugepaged and NUMA
// balancing. A machine without one of them spreads the others.
import { hugetlbParts } from "@hetmem/hugetlb";
import { khugepagedParts } from "@hetmem/khugepaged";
import { migrateParts } from "@hetmem/migrate";
import type { VmParts } from "@hetmem/mm";
import { pageCacheParts } from "@hetmem/page-cache";
import { reclaimParts } from "@hetmem/reclaim";

export const vmParts: Required<VmParts> = {
  ...pageCacheParts,
  ...reclaimParts,
  ...hugetlbParts,
  ...khugepagedParts,
  ...migrateParts,
};
