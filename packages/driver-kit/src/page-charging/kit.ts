// The obligations of a charging of pages: what mm, reclaim, migration and swap count on. Kernel counterpart: the callers of
// include/linux/memcontrol.h.
import type { Kit } from "../conformance.ts";
import type { ChargingUnderTest } from "./charging.ts";
import {
  ends,
  holdsItsLimit,
  holdsItsLimitAgainstRivals,
  leavesNothingOfARefusal,
  letsReturn,
} from "./limits.ts";
import { countsHugePages, keepsLists, movesCharges, splitsCharges } from "./pages.ts";
import {
  chargesThePayer,
  givesBackBatches,
  givesBackToThePayer,
  givesKernelPagesBack,
  leavesUnchargedAlone,
} from "./payers.ts";
import { chargesTheOwnerOfASlot, chargesTheReader, givesSlotsBack } from "./swap.ts";

export const pageChargingKit: Kit<ChargingUnderTest> = {
  port: "PageCharging",
  obligations: [
    chargesThePayer,
    givesBackToThePayer,
    givesBackBatches,
    leavesUnchargedAlone,
    givesKernelPagesBack,
    holdsItsLimit,
    leavesNothingOfARefusal,
    holdsItsLimitAgainstRivals,
    ends,
    countsHugePages,
    splitsCharges,
    movesCharges,
    givesSlotsBack,
    chargesTheOwnerOfASlot,
    chargesTheReader,
    keepsLists,
    letsReturn,
  ],
};
