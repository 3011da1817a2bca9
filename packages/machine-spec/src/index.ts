export { type NodesOfDevice, nodesOfDevice } from "./affinity.ts";
export { bootUsageOf } from "./boot-reserve.ts";
export {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DIRECT_MAP_BITS,
  DEFAULT_PHYSICAL_BITS,
  DEFAULT_PROFILE,
} from "./defaults.ts";
export { writeIomem } from "./iomem-entry.ts";
export { checkKconfig, isKconfigName, KCONFIG_NAMES, type KconfigName, kernelConfig } from "./kconfig.ts";
export { checkLimits, refuseImpossible } from "./limits.ts";
export {
  type BootUsage,
  CGROUP_FEATURES,
  type CgroupFeature,
  type DeviceAffinity,
  type DeviceRule,
  type DeviceSpan,
  type GpuSpec,
  type HiddenMemory,
  type IomemEntry,
  type KernelOptions,
  type MachineSpec,
  type MemoryRange,
  type NodeSpec,
  type NvdimmModule,
  type NvdimmRange,
  type NvdimmSpec,
  ONLINE_TYPES,
  type OnlineType,
  type Passthrough,
  PROFILE_NAMES,
  type ProfileName,
  type SwapArea,
} from "./machine-spec.ts";
export type { SpecPath, SpecProblem } from "./problem.ts";
export { machineOfYaml } from "./yaml.ts";
