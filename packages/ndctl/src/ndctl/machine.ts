// The machine that ndctl runs on: a file tree, and nodes in /dev for ioctl. User space counterpart: ndctl_new() in ndctl/lib/libndctl.c.
import type { Program, ProgramContext, ShellMachine } from "@hetmem/shell";
import type { NdctlContext } from "../libndctl/context.ts";
import { type DeviceNodes, NO_DEVICE_NODES } from "../libndctl/device-nodes.ts";
import type { NdctlReport } from "../libndctl/report.ts";
import type { ToolCommand } from "../tool.ts";

export interface NdctlMachine extends ShellMachine {
  readonly devices?: {
    /** /dev/nmemN, /dev/ndctlN and /dev/pmemN; undefined where there is no persistent memory. */
    readonly nvdimmNodes: DeviceNodes | undefined;
  };
}

export type NdctlProgram = Program<NdctlMachine>;
export type NdctlIo = ProgramContext<NdctlMachine>;
export type NdctlCommand = ToolCommand<NdctlMachine>;

/** The libraries' context for a command. */
export function contextOf({ vfs, machine }: NdctlIo, report: NdctlReport): NdctlContext {
  return { vfs, nodes: machine.devices?.nvdimmNodes ?? NO_DEVICE_NODES, report };
}
