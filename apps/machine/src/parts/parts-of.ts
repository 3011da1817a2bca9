// The parts that a machine is made of: those that the caller gave, and for the rest those of the specification's profile.
import type { MachineSpec } from "@hetmem/machine-spec";
import { checkParts } from "./check-parts.ts";
import type { MachineParts } from "./machine-parts.ts";
import { PROFILES } from "./profiles.ts";

/** @throws KernelError EINVAL for a part that doesn't exist or isn't what its port asks for */
export function partsOf({ profile }: MachineSpec, given: Partial<MachineParts>): MachineParts {
  const parts = PROFILES[profile];
  checkParts(given, parts);
  return Object.freeze({ ...parts, ...given });
}
