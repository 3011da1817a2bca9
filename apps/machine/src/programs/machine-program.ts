// The port of programs that work with a machine itself: its processes as objects, the explanation of its cgroups, its
// devices. A program refuses the call on a machine without the part that it needs.
import type { DeviceNodes } from "@hetmem/ndctl";
import type * as shell from "@hetmem/shell";
import { type ProcessPort, refuseWithoutProcesses } from "@hetmem/shell";
import type { CgroupExplanation } from "../parts/charging-part.ts";
import type { Gpus } from "../machine/devices/gpus.ts";
import type { UserSpace } from "./user-space.ts";

/** Processes as the shell starts them, and as programs about processes find them. */
export interface MachineProcesses extends ProcessPort {
  readonly userSpace?: UserSpace;
}

export interface ProgramMachine extends shell.ShellMachine {
  readonly processes?: MachineProcesses;
  /** Absent where there are no cgroups. @throws KernelError ENOENT, EOPNOTSUPP */
  readonly cgroups?: { explain(path: string): CgroupExplanation };
  /** Devices that ndctl and gpu reach through ioctl: no nodes where there is no persistent memory. */
  readonly devices?: { readonly nvdimmNodes: DeviceNodes | undefined; readonly gpus: Gpus };
}

export type ProgramContext = shell.ProgramContext<ProgramMachine>;
export type Program = shell.Program<ProgramMachine>;
export type ProgramEntry = shell.ProgramEntry<ProgramMachine>;
export type Programs = shell.Programs<ProgramMachine>;

/** @throws UsageProblem on a machine without processes: a bare file system */
export function userSpaceOf({ machine }: ProgramContext): UserSpace {
  return machine.processes?.userSpace ?? refuseWithoutProcesses();
}
