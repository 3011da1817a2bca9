export { type HugeCollapse } from "./huge-collapse.ts";
export { type Hugetlb } from "./hugetlb.ts";
export { type MemoryErrors } from "./memory-errors.ts";
export { type MigrateMisplacedPage } from "./numa-balancing.ts";
export { type PageReclaim } from "./page-reclaim.ts";
export {
  type MemoryRequest,
  type OomControl,
  type OomGroup,
  type ReclaimGroup,
  type ReclaimGroups,
} from "./reclaim-groups.ts";
export { type SharedMemory } from "./shared-memory.ts";
export { type PageSource, type Swap, type SwappedPages } from "./swap.ts";
