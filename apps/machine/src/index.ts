export { captureHost, type Capture } from "./host/capture.ts";
export { type HostTree, liveHost, openTree } from "./host/tree.ts";
export { createMachine, type Machine } from "./machine.ts";
export { PROFILES, type Profile } from "./machine/profile.ts";
export {
  interact,
  type InteractiveStreams,
  MASKS,
  type Mask,
  type ProcessPort,
  type Program,
  type ProgramContext,
  PROGRAMS,
  type Programs,
  replayTranscript,
  runScript,
  Shell,
  type ShellResult,
  type UserSpace,
} from "./shell/index.ts";
export type {
  BootUsage,
  KernelOptions,
  MachineSpec,
  MemoryRange,
  NodeSpec,
  ProfileName,
  SwapArea,
} from "./spec/machine-spec.ts";
export { machineOfYaml } from "./spec/yaml.ts";
