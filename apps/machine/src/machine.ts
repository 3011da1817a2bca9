// The composition root: a machine is made from its specification and its parts, and nothing else knows them all. A driver or a
// policy is swapped by passing another part.
import type { MachineSpec } from "@hetmem/machine-spec";
import { boot, type BootedMachine } from "./machine/boot.ts";
import { createHardware } from "./machine/devices/hardware.ts";
import { withHostRoom } from "./machine/host-room.ts";
import { rebootable, type Reboots } from "./machine/reboot.ts";
import type { MachineParts } from "./parts/machine-parts.ts";
import { partsOf } from "./parts/parts-of.ts";
import "./version.ts";

/** A machine that runs, and what restarts it. */
export interface Machine extends BootedMachine, Reboots {}

/**
 * Boots a machine.
 *
 * @param parts drivers and policies in place of those of the specification's profile
 * @throws KernelError with a sentence that names what the specification has wrong; EINVAL for a part that doesn't exist or isn't what
 *   its port asks for; ENOMEM when the host has no room
 */
export function createMachine(spec: MachineSpec, parts: Partial<MachineParts> = {}): Machine {
  const all = partsOf(spec, parts);
  return withHostRoom(spec, () => rebootable((hardware) => boot(spec, all, hardware), createHardware(spec)));
}
