// The placement policies of the profiles: each follows the boot option `placement`, and else the rule of its release.
import type { KernelOptions } from "@hetmem/machine-spec";
import { anyOrderPlacement, onlinePolicyPlacement, strictPlacement } from "@hetmem/zone";
import type { PlacementPart } from "./machine-parts.ts";

export const strict: PlacementPart = () => strictPlacement;

export const anyOrder: PlacementPart = () => anyOrderPlacement;

/** Any order, and plain `online` as the online policy in force says. */
export const byOnlinePolicy: PlacementPart = ({ onlinePolicies, groups }) =>
  onlinePolicyPlacement(onlinePolicies, groups);

const BY_OPTION: Readonly<Record<NonNullable<KernelOptions["placement"]>, PlacementPart>> = {
  strict,
  "any-order": anyOrder,
  "auto-movable": byOnlinePolicy,
};

/** The placement that the option names, and else `release`. */
export function placementOf(release: PlacementPart): PlacementPart {
  return (host) => {
    const { placement } = host.options;
    return (placement === undefined ? release : BY_OPTION[placement])(host);
  };
}
