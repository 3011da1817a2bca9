// A machine that can be booted again, as its user sees it: after a reboot everything is new but the contents of its persistent
// memory.
import { powerFailure } from "@hetmem/nvdimm";
import type { BootedMachine } from "./boot.ts";
import { type Hardware, shutDown } from "./devices/hardware.ts";

/** Boots on hardware that is there. */
export type Boot = (hardware: Hardware) => BootedMachine;

export interface Reboots {
  /**
   * Shuts down in order and boots with the same parts. What was written to persistent memory is there, and its labels; nothing else
   * is. Objects of the machine from before belong to the boot that has ended.
   */
  reboot(): void;
  /** The power fails, and comes back: what was not flushed far enough is lost, as the platform says. */
  powerFail(): void;
}

/** @throws KernelError as `boot` does */
export function rebootable(boot: Boot, hardware: Hardware): BootedMachine & Reboots {
  let running = boot(hardware);
  const view = {
    reboot() {
      shutDown(hardware);
      running = boot(hardware);
    },
    powerFail() {
      if (running.devices.nvdimm) powerFailure(running.devices.nvdimm);
      running = boot(hardware);
    },
  };
  // The holder of the view sees the machine that runs now.
  for (const part of Object.keys(running) as (keyof BootedMachine)[])
    Object.defineProperty(view, part, { enumerable: true, get: () => running[part] });
  return view as BootedMachine & Reboots;
}
