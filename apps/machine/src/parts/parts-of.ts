// The parts that a machine is made of: those that the caller gave, and for the rest those of the specification's profile.
import { KernelError } from "@hetmem/kernel";
import { type KconfigName, kernelConfig, type MachineSpec } from "@hetmem/machine-spec";
import { checkParts } from "./check-parts.ts";
import { withConfig } from "./kconfig-parts.ts";
import type { MachineParts } from "./machine-parts.ts";
import { PROFILES } from "./profiles.ts";

/**
 * @throws KernelError EINVAL for a part that doesn't exist or isn't what its port asks for, and for a kernel option that the release
 *   doesn't have
 */
export function partsOf(spec: MachineSpec, given: Partial<MachineParts>): MachineParts {
  const release = PROFILES[spec.profile];
  checkParts(given, release);
  const config = given.config ?? configOf(spec, release.config);
  return Object.freeze({ ...withConfig(release, config), ...given });
}

/** Options that no release has by itself. */
const OFF: readonly KconfigName[] = ["MEMORY_HOTPLUG_DEFAULT_ONLINE"];

function configOf(
  { profile, options: { kconfig = [] } }: MachineSpec,
  release: ReadonlySet<KconfigName>,
): ReadonlySet<KconfigName> {
  const config = kernelConfig(kconfig, release);
  for (const option of config)
    if (!release.has(option) && !OFF.includes(option))
      throw new KernelError(
        "EINVAL",
        `the kernel of profile ${profile} has no CONFIG_${option}: choose another profile, or remove it`,
      );
  return config;
}
