export { CgroupIds } from "./cgroup-ids.ts";
export { MEMORY_EVENTS, MemoryCgroup, type MemoryEvent } from "./memory-cgroup.ts";
export { MemoryCgroups, type MemoryCgroupsOptions } from "./memory-cgroups.ts";
export { type OverLimit, type OverMax, noRemedy, type RefusedCharge } from "./over-limit.ts";
export { memcgInvariants } from "./invariants.ts";
export {
  chargeKernel,
  chargeSocket,
  type KernelObject,
  unchargeKernel,
  unchargeSocket,
} from "./kernel-memory.ts";
export { PAGE_COUNTER_MAX, PageCounter } from "./page-counter.ts";
export { memoryStatText, memoryNumaStatText } from "./stat/memory-stat.ts";
export { type CgroupStats } from "./stat/cgroup-stats.ts";
export { CGROUP_ITEMS, type CgroupItem, NODE_ITEMS, type NodeItem } from "./stat/items.ts";
export { CHARGE_BATCH } from "./stock.ts";
export { inheritedSwappiness, legacyMemoryFiles } from "./files/legacy-files.ts";
export { type LegacyWriter } from "./files/legacy-limits.ts";
export { MemoryController, type MemoryTask, type SwappinessBelow } from "./files/memory-controller.ts";
export { type MemoryFile, memoryFiles, type MemoryFilesOptions } from "./files/memory-files.ts";
export { Limits, type LimitsOptions } from "./limits/limits.ts";
export { machineUsage } from "./limits/machine-usage.ts";
export { type LimitStep, type ShortageListener } from "./limits/shortage-listener.ts";
export { type UnclaimedProtection } from "./limits/protection.ts";
