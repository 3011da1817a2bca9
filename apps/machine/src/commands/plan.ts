// `hetmem plan DEVICE`: what making RAM of a dax device would do to a machine.
import { planLines } from "../plan/plan-report.ts";
import { planSystemRam } from "../plan/plan.ts";
import { chooseMachine, type MachineOptions } from "./choose-machine.ts";
import type { CreateMachine } from "./program.ts";
import type { Terminal } from "./terminal.ts";

export interface PlanOptions extends MachineOptions {
  readonly zone: "movable" | "kernel";
  readonly json?: boolean;
}

export function plan(
  device: string,
  options: PlanOptions,
  createMachine: CreateMachine,
  terminal: Terminal,
): void {
  const { spec, source, notices } = chooseMachine(options);
  // Rules would have made RAM of it already.
  const planned = planSystemRam(createMachine({ ...spec, rules: [] }), { device, zone: options.zone });
  if (options.json) {
    terminal.write(`${JSON.stringify({ source, ...planned, notices }, undefined, 2)}\n`);
    return;
  }
  for (const notice of notices) terminal.writeError(`hetmem: ${notice}\n`);
  terminal.write(`${planLines(planned, source, terminal.columns).join("\n")}\n`);
}
