// Giving labels to a region that has none, as `ndctl create-namespace -e` does by itself: all of the region is known to be free then. Kernel
// counterpart: none, this is enable_labels() in ndctl/namespace.c.
import type { Sleeps } from "@hetmem/kernel";
import type { Region } from "../devices/region.ts";
import { disableRegion } from "../drivers/nd-region.ts";
import { initLabels } from "./labels.ts";
import type { NdctlReport } from "./report.ts";
import { enableRegionByName } from "./select.ts";

/**
 * Gives the region's modules an index. Where one of them contributes to another region that is enabled, too, none is given one: that would
 * lose the other's namespaces. The region has been disabled and enabled by then.
 *
 * @returns false when a module has no room for labels, and nothing was done
 * @throws KernelError ENXIO when the region can't be enabled again
 */
export function* enableLabels(region: Region, report: NdctlReport): Sleeps<boolean> {
  const { bus, mappings, name } = region;
  if (mappings.length === 0 || mappings.some(({ dimm }) => dimm.media.labelArea.length === 0)) return false;
  yield* disableRegion(region);
  const active = mappings.filter(({ dimm }) => dimm.busy > 0);
  for (const { dimm } of active) report.warning(`${dimm.name} is active in ${name}, failing autolabel`);
  if (active.length === 0) for (const { dimm } of mappings) yield* initLabels(bus, dimm);
  yield* enableRegionByName(region, report);
  if (!region.isLabelled) report.failure(`${name}: failed to initialize labels`);
  return true;
}
