// A machine that can be booted again, as whoever sits at it sees it: after a reboot everything is new but what lies on its
// persistent memory.
import { createMachine, type Machine } from "../machine.ts";
import type { MachineSpec } from "../spec/machine-spec.ts";
import { shutDown } from "./devices/hardware.ts";

export interface RebootableMachine extends Machine {
  /** Shuts down in order and boots. What was written to persistent memory is there, and its labels; nothing else is. */
  reboot(): void;
}

/** @throws KernelError as createMachine() does */
export function createRebootable(spec: MachineSpec): RebootableMachine {
  let running = createMachine(spec);
  return {
    spec,
    get kernel() {
      return running.kernel;
    },
    get iomem() {
      return running.iomem;
    },
    get memory() {
      return running.memory;
    },
    get hotplug() {
      return running.hotplug;
    },
    get failure() {
      return running.failure;
    },
    get vm() {
      return running.vm;
    },
    get devices() {
      return running.devices;
    },
    get hardware() {
      return running.hardware;
    },
    get vfs() {
      return running.vfs;
    },
    get processes() {
      return running.processes;
    },
    get udev() {
      return running.udev;
    },
    reboot() {
      const { hardware } = running;
      shutDown(hardware);
      running = createMachine(spec, hardware);
    },
  };
}
