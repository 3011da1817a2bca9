export { captureHost, type Capture, type HostTree } from "@hetmem/host-capture";
export { liveHost, openTree } from "@hetmem/host-capture/node";
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
} from "@hetmem/machine-spec";
export { machineOfYaml } from "@hetmem/machine-spec";
