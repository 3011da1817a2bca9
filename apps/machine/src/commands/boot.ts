// `hetmem boot`: builds the machine and prints what it built.
import { readHost } from "../host/host.ts";
import { vfsTree } from "../host/tree.ts";
import { type BootReport, bootReportJson, bootReportLines } from "../report/boot-report.ts";
import { createPaint } from "../report/paint.ts";
import { viewOf } from "../report/view.ts";
import { chooseMachine, type MachineOptions } from "./choose-machine.ts";
import type { CreateMachine } from "./program.ts";
import type { Terminal } from "./terminal.ts";

export interface BootOptions extends MachineOptions {
  readonly json?: boolean;
}

export function boot(options: BootOptions, createMachine: CreateMachine, terminal: Terminal): void {
  const { spec, source, sameMachine, host, notices } = chooseMachine(options);
  const machine = createMachine(spec);
  const view = viewOf(spec, readHost(vfsTree(spec.name, machine.vfs)));
  const report: BootReport = { view, source, sameMachine, host, notices };
  const text = options.json
    ? JSON.stringify(bootReportJson(report), undefined, 2)
    : bootReportLines(report, terminal.self, terminal.columns, createPaint(terminal.colours)).join("\n");
  terminal.write(`${text}\n`);
}
