// The obligations of a placement policy. Kernel counterpart: the callers of zone_for_pfn_range() in mm/memory_hotplug.c and
// drivers/base/memory.c.
import type { Kit } from "../conformance.ts";
import { answersAlike, answersFromState, changesNothing } from "./purity.ts";
import { placesBeforeAdding, placesEveryDevice, placesFirstMemory, takesBack } from "./service.ts";
import type { PlacementUnderTest } from "./trial.ts";
import { defaultIsFirst, listsWhatItAllows } from "./valid-zones.ts";
import { keepsDmaLimits, keepsTheKind, zoneOfTheNode } from "./zone.ts";

export const placementKit: Kit<PlacementUnderTest> = {
  port: "Placement",
  obligations: [
    zoneOfTheNode,
    keepsTheKind,
    keepsDmaLimits,
    defaultIsFirst,
    listsWhatItAllows,
    changesNothing,
    answersAlike,
    answersFromState,
    placesFirstMemory,
    placesEveryDevice,
    placesBeforeAdding,
    takesBack,
  ],
};
