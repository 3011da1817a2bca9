// Giving labels to a region that has none, as `ndctl create-namespace -e` does by itself: all of the region is known to be free then. Kernel
// counterpart: none, this is enable_labels() in ndctl/namespace.c.
import { type Sleeps } from "@hetmem/kernel";
import type { Nvdimm } from "../devices/dimm.ts";
import type { Region } from "../devices/region.ts";
import { disableRegion, enableRegion } from "../drivers/nd-region.ts";
import { initLabels } from "./labels.ts";

/**
 * Gives the region's modules an index, unless one of them has none to give or contributes to another region, too: that would lose its
 * namespaces.
 *
 * @returns whether namespaces of the region come from labels now
 * @throws KernelError EBUSY when somebody comes in between
 */
export function* enableLabels(region: Region): Sleeps<boolean> {
  const { bus, mappings } = region;
  const canHave =
    mappings.length > 0 &&
    mappings.every(({ dimm }) => dimm.media.labelArea.length > 0 && isAlone(region, dimm));
  if (!canHave || region.isLabelled) return region.isLabelled;
  yield* disableRegion(region);
  for (const { dimm } of mappings) yield* initLabels(bus, dimm);
  yield* enableRegion(region);
  return region.isLabelled;
}

function isAlone(region: Region, dimm: Nvdimm): boolean {
  return region.bus.regions.every(
    (other) => other === region || other.mappings.every((one) => one.dimm !== dimm),
  );
}
