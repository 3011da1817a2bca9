export { type Demotion, type DemotionCounter, noDemotion } from "./demotion.ts";
export { type HugeCollapse, noHugeCollapse } from "./huge-collapse.ts";
export { type Hugetlb, noHugetlb } from "./hugetlb.ts";
export { type MemoryErrors } from "./memory-errors.ts";
export { type MemoryTier, type MemoryTiers, oneTier } from "./memory-tiers.ts";
export { noOomChoice, type OomChoice } from "./oom-choice.ts";
export { MAX_RECLAIM_RETRIES, noReclaim, type PageReclaim, SWAP_CLUSTER_MAX } from "./page-reclaim.ts";
export { noPromotion, type Promotion } from "./promotion.ts";
export {
  type MemoryRequest,
  type OomControl,
  type OomGroup,
  type ReclaimGroup,
  type ReclaimGroups,
} from "./reclaim-groups.ts";
export { type SharedMemory } from "./shared-memory.ts";
export { noSwap, type PageSource, type Swap, type SwapArea, type SwappedPages } from "./swap.ts";
