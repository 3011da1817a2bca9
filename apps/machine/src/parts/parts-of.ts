// The parts that a machine is made of: those that the caller gave, and for the rest those of a release. The release is the
// specification's profile, or the profile that the caller spread.
import { KernelError } from "@hetmem/kernel";
import {
  type KconfigName,
  kernelConfig,
  type MachineSpec,
  PROFILE_NAMES,
  type ProfileName,
} from "@hetmem/machine-spec";
import { checkParts } from "./check-parts.ts";
import { withConfig } from "./kconfig-parts.ts";
import type { MachineParts } from "./machine-parts.ts";
import { PROFILES } from "./profiles.ts";

/**
 * A caller that spreads a profile, `{ ...PROFILES["v5.1"], placement }`, chooses its release: kernel options of the specification add
 * to that, and remove parts of it. A part that is not the profile's own stays as it is given.
 *
 * @throws KernelError EINVAL for a profile or a part that doesn't exist, for a part that isn't what its port asks for, and for a
 *   kernel option that the release doesn't have
 */
export function partsOf(spec: MachineSpec, given: Partial<MachineParts>): MachineParts {
  const profile = knownProfile(spec);
  const own = checkParts(given, PROFILES[profile]);
  const spread = PROFILE_NAMES.find((name) => PROFILES[name].config === own.config);
  if (spread === undefined) {
    const config = own.config ?? configOf(spec, profile);
    return Object.freeze({ ...withConfig(PROFILES[profile], config), ...own });
  }
  const release = PROFILES[spread];
  const chosen = Object.fromEntries(
    Object.entries(own).filter(([name, part]) => Reflect.get(release, name) !== part),
  );
  return Object.freeze({ ...withConfig(release, configOf(spec, spread)), ...chosen });
}

function knownProfile({ profile }: MachineSpec): ProfileName {
  if (PROFILE_NAMES.includes(profile)) return profile;
  throw new KernelError(
    "EINVAL",
    `the specification has the profile ${String(profile)}: write one of ${PROFILE_NAMES.join(", ")}`,
  );
}

/** Options that no release has by itself. */
const OFF: readonly KconfigName[] = ["MEMORY_HOTPLUG_DEFAULT_ONLINE"];

function configOf(
  { options: { kconfig = [] } }: MachineSpec,
  profile: ProfileName,
): ReadonlySet<KconfigName> {
  const release = PROFILES[profile].config;
  const config = kernelConfig(kconfig, release);
  for (const option of config)
    if (!release.has(option) && !OFF.includes(option))
      throw new KernelError(
        "EINVAL",
        `the kernel of profile ${profile} has no CONFIG_${option}: choose another profile, or remove it`,
      );
  return config;
}
