// `hetmem boot`: builds the machine and prints what it built.
import { readHost, vfsTree } from "@hetmem/host-capture";
import { createMachine } from "../machine.ts";
import { plannableDevice } from "../plan/plan-device.ts";
import {
  type BootReport,
  bootReportJson,
  bootReportLines,
  createPaint,
  viewOf,
  withMemmapElsewhere,
} from "@hetmem/report";
import { chooseMachine } from "./choose-machine.ts";
import type { MachineOptions } from "./machine-options.ts";
import { sayJson } from "./say.ts";
import type { Terminal } from "./terminal.ts";

export interface BootOptions extends MachineOptions {
  readonly json?: boolean;
}

export function boot(options: BootOptions, terminal: Terminal): void {
  const { spec, source, sameMachine, host, notices } = chooseMachine(options);
  const machine = createMachine(spec);
  const view = withMemmapElsewhere(viewOf(spec, readHost(vfsTree(spec.name, machine.vfs))), machine);
  const report: BootReport = {
    view,
    source,
    sameMachine,
    host,
    notices,
    plannable: plannableDevice(machine),
  };
  if (options.json) return sayJson(terminal, bootReportJson(report));
  // Its colours are control characters: what it quotes is plain already.
  const paint = createPaint(terminal.colours);
  terminal.write(`${bootReportLines(report, terminal.self, terminal.columns, paint).join("\n")}\n`);
}
