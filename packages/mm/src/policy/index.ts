export { MemoryTiers, MEMTIER_ADISTANCE_DRAM, MEMTIER_ADISTANCE_SLOW } from "./memory-tiers.ts";
export {
  type MemPolicy,
  type MempolicyRequest,
  mpolEqual,
  MpolFlag,
  type MpolMode,
  mpolNew,
  mpolToString,
  nodeAfter,
  nodesWithMemory,
  policyNode,
  policyNodemask,
  policyOf,
} from "./mempolicy.ts";
export { migratesOnFault } from "./misplaced.ts";
export {
  allocUncharged,
  allocWithPolicy,
  nodesByDistance,
  pageSourceAt,
  tryAllocUncharged,
  tryAllocWithPolicy,
} from "./policy-alloc.ts";
