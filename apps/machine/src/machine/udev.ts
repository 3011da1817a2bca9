// Rules of the machine file for dax devices as they appear: each is a command. Commands wait until a shell can run them. User space counterpart: systemd-udevd(8), 90-daxctl-device.rules of ndctl.
import type { Kernel } from "@hetmem/kernel";
import { GlobPattern } from "@hetmem/vfs";
import type { DeviceRule } from "@hetmem/machine-spec";

/** A command that waits to be run. */
export interface DeviceCommand {
  /** Name of the device that came. */
  readonly device: string;
  /** A line of the shell. */
  readonly run: string;
}

export class Udev {
  readonly #rules: readonly DeviceRule[];
  readonly #waiting: DeviceCommand[] = [];

  constructor(kernel: Kernel, rules: readonly DeviceRule[]) {
    this.#rules = rules;
    kernel.uevents.subscribe(({ action, devpath, subsystem }) => {
      if (action === "add" && subsystem === "dax")
        this.#deviceCame(devpath.slice(devpath.lastIndexOf("/") + 1));
    });
  }

  /** The command that has waited longest, which waits no more. */
  next(): DeviceCommand | undefined {
    return this.#waiting.shift();
  }

  #deviceCame(device: string): void {
    const rule = this.#rules.find((each) => GlobPattern.parse(each.device).matches(device));
    if (rule) this.#waiting.push({ device, run: rule.run });
  }
}
