// A Vm with all its parts, as the application makes it.
import { hugetlbParts } from "@hetmem/hugetlb";
import { khugepagedParts } from "@hetmem/khugepaged";
import { migrateParts } from "@hetmem/migrate";
import { Vm, type VmOptions, type VmParts } from "@hetmem/mm";
import { pageCacheParts } from "@hetmem/page-cache";
import { reclaimParts } from "@hetmem/reclaim";
import type { Memory } from "@hetmem/zone";

export const WHOLE: VmParts = {
  ...pageCacheParts,
  ...reclaimParts,
  ...hugetlbParts,
  ...khugepagedParts,
  ...migrateParts,
};

export function wholeVm(memory: Memory, options: VmOptions = {}): Vm {
  return new Vm(memory, { ...WHOLE, ...options });
}
