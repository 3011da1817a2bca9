// A machine that can be booted again, as its user sees it: after a reboot everything is new but the contents of its
// persistent memory.
import { powerFailure } from "@hetmem/nvdimm";
import { createMachine, type Machine } from "../machine.ts";
import type { MachineSpec } from "@hetmem/machine-spec";
import { shutDown } from "./devices/hardware.ts";

export interface RebootableMachine extends Machine {
  /** Shuts down in order and boots. What was written to persistent memory is there, and its labels; nothing else is. */
  reboot(): void;
  /** The power fails, and comes back: what was not flushed far enough is lost, as the platform says. */
  powerFail(): void;
}

/** @throws KernelError as createMachine() does */
export function createRebootable(spec: MachineSpec): RebootableMachine {
  let running = createMachine(spec);
  const view = {
    reboot() {
      shutDown(running.hardware);
      running = createMachine(spec, running.hardware);
    },
    powerFail() {
      if (running.devices.nvdimm) powerFailure(running.devices.nvdimm);
      running = createMachine(spec, running.hardware);
    },
  };
  // The holder of the view sees the machine that runs now.
  for (const part of Object.keys(running) as (keyof Machine)[])
    Object.defineProperty(view, part, { enumerable: true, get: () => running[part] });
  return view as RebootableMachine;
}
