export { captureHost, type Capture, type HostTree } from "@hetmem/host-capture";
export { type ProcessPort, Shell, type ShellResult } from "@hetmem/shell";
export { type Mask, MASKS, replayTranscript } from "@hetmem/transcript";
export { createMachine, type Machine } from "./machine.ts";
export type {
  ChargingController,
  ChargingHost,
  ChargingPart,
  MachineCharging,
} from "./parts/charging-part.ts";
export { deviceDax, kmem } from "./parts/dax-drivers.ts";
export type {
  DaxDriverHost,
  DaxDriverPart,
  MachineParts,
  PlacementHost,
  PlacementPart,
} from "./parts/machine-parts.ts";
export { memcgCharging, noCharging } from "./parts/memcg-charging.ts";
export { PROFILES } from "./parts/profiles.ts";
export { PROGRAMS } from "./programs/index.ts";
export { openShell } from "./programs/open-shell.ts";
export type { Program, ProgramContext, ProgramMachine, Programs } from "./programs/machine-program.ts";
export type { UserSpace } from "./programs/user-space.ts";
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
