// The online policies of a machine at boot: those of its parts, in the state that the boot options say.
import type { KernelOptions } from "@hetmem/machine-spec";
import {
  autoMovable,
  autoMovableNumaAware,
  autoMovableRatio,
  contigZones,
  OnlinePolicies,
  type OnlinePolicy,
} from "@hetmem/zone";

/** The kernel's own; the first is in force. */
export const standardOnlinePolicies: readonly OnlinePolicy[] = [contigZones, autoMovable];

/**
 * Without any in the parts, the machine has no files of policies, and the boot option `placement` chooses of the kernel's own.
 *
 * @throws KernelError EINVAL for two of one name, for a name that isn't one word, and for an option that names none of them
 */
export function onlinePoliciesOf(parts: readonly OnlinePolicy[], options: KernelOptions): OnlinePolicies {
  const policies = new OnlinePolicies(parts.length > 0 ? parts : standardOnlinePolicies);
  const { placement, auto_movable_ratio: ratio, auto_movable_numa_aware: numaAware } = options;
  if (placement === "auto-movable") policies.choose(placement);
  if (ratio !== undefined) policies.parameters.set(autoMovableRatio, ratio);
  if (numaAware !== undefined) policies.parameters.set(autoMovableNumaAware, numaAware);
  return policies;
}
