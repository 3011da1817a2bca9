export { type NodesOfDevice, nodesOfDevice } from "./affinity.ts";
export { bootUsageOf } from "./boot-reserve.ts";
export { writeIomem } from "./iomem-entry.ts";
export { checkKconfig } from "./kconfig.ts";
export { checkLimits, refuseImpossible } from "./limits.ts";
export type {
  BootRange,
  BootUsage,
  CgroupFeature,
  DeviceAffinity,
  DeviceRule,
  DeviceSpan,
  GpuSpec,
  HiddenMemory,
  IomemEntry,
  KernelOptions,
  MachineSpec,
  MemoryRange,
  NodeSpec,
  NvdimmModule,
  NvdimmRange,
  NvdimmSpec,
  Passthrough,
  ProfileName,
  SwapArea,
} from "./machine-spec.ts";
export type { SpecPath, SpecProblem } from "./problem.ts";
export { machineOfYaml } from "./yaml.ts";
