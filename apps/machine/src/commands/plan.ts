// `hetmem plan DEVICE`: what making RAM of a dax device would do to a machine.
import { planLines } from "@hetmem/report";
import { createMachine } from "../machine.ts";
import { planSystemRam } from "../plan/plan.ts";
import { chooseMachine } from "./choose-machine.ts";
import type { MachineOptions } from "./machine-options.ts";
import { complain, say, sayJson } from "./say.ts";
import type { Terminal } from "./terminal.ts";

export interface PlanOptions extends MachineOptions {
  readonly zone: "movable" | "kernel";
  readonly json?: boolean;
}

export function plan(device: string, options: PlanOptions, terminal: Terminal): void {
  const { spec, source, notices } = chooseMachine(options);
  // Rules would have made RAM of it already.
  const planned = planSystemRam(createMachine({ ...spec, rules: [] }), { device, zone: options.zone });
  if (options.json) {
    sayJson(terminal, { source, ...planned, notices });
    return;
  }
  complain(terminal, ...notices);
  say(terminal, ...planLines(planned, source, terminal.columns));
}
