// Giving labels to a region that has none, as `ndctl create-namespace -e` does by itself: all of the region is known to be free then. User
// space counterpart: enable_labels() in ndctl/namespace.c.
import type { Sleeps } from "@hetmem/kernel";
import type { NdctlContext } from "./context.ts";
import { isInUse, mappingsOf, type NdDimm, type NdRegion } from "./devices.ts";
import { disableRegionInvalidate, enableRegion } from "./enable.ts";
import { isLabelled } from "./facts.ts";
import { hasLabelArea, initLabels } from "./labels.ts";

/**
 * Gives the region's modules an index. Where one of them contributes to another region that is enabled, too, none is given one: that would
 * lose the other's namespaces. The region has been disabled and enabled by then.
 *
 * @returns false when a module has no room for labels, and nothing was done
 * @throws KernelError ENXIO when the region can't be enabled again
 */
export function* enableLabels(context: NdctlContext, region: NdRegion): Sleeps<boolean> {
  const { report } = context;
  const dimms = (yield* mappingsOf(context, region)).map(({ dimm }) => dimm);
  if (dimms.length === 0) return false;
  for (const dimm of dimms) if (!(yield* hasLabelArea(context, dimm))) return false;
  yield* disableRegionInvalidate(context, region);
  const active: NdDimm[] = [];
  for (const dimm of dimms) if (yield* isInUse(context, dimm)) active.push(dimm);
  for (const { name } of active) report.warning(`${name} is active in ${region.name}, failing autolabel`);
  if (active.length === 0) for (const dimm of dimms) yield* initLabels(context, dimm);
  yield* enableRegion(context, region);
  if (!(yield* isLabelled(context, region))) report.failure(`${region.name}: failed to initialize labels`);
  return true;
}
