// The obligations of a driver of the dax bus: what the bus, memory hotplug and other drivers count on. Kernel counterpart: the
// callers of struct dax_device_driver in drivers/dax/bus.c.
import type { Kit } from "../conformance.ts";
import { holdsBesideHotplug, keepsDevicesApart } from "./company.ts";
import type { DaxDriverUnderTest } from "./driver.ts";
import {
  bindsAgain,
  changesNothing,
  refusesWithAnErrno,
  takesEachRange,
  takesRangesAsTheyAre,
} from "./probe.ts";
import { givesBack, keepsMemoryInUse, leavesTheDeviceAlone, letsGoWhileInUse } from "./remove.ts";

export const daxDriverKit: Kit<DaxDriverUnderTest> = {
  port: "DaxDriver",
  obligations: [
    refusesWithAnErrno,
    changesNothing,
    givesBack,
    bindsAgain,
    takesEachRange,
    takesRangesAsTheyAre,
    letsGoWhileInUse,
    keepsMemoryInUse,
    leavesTheDeviceAlone,
    keepsDevicesApart,
    holdsBesideHotplug,
  ],
};
