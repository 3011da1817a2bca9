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
export {
  allocUncharged,
  allocWithPolicy,
  nodesByDistance,
  pageSourceAt,
  tryAllocUncharged,
  tryAllocWithPolicy,
} from "./policy-alloc.ts";
