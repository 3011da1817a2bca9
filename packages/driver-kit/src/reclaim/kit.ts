// The obligations of reclaim: what the allocator, faults, memory cgroups and madvise() count on. Kernel counterparts:
// mm/vmscan.c, __alloc_pages_slowpath() in mm/page_alloc.c.
import type { Kit } from "../conformance.ts";
import {
  countsFreed,
  givesBack,
  keepsContents,
  leavesLocked,
  leavesPinned,
  writesFilesBack,
} from "./contents.ts";
import { keepsTheMinimum, leavesOtherCgroups, reclaimsCgroups } from "./groups.ts";
import { asksTheChoice, endsFaults, killsAtLast, spares } from "./kills.ts";
import {
  balances,
  ends,
  findsAPage,
  keepsToNodes,
  obeysAtomic,
  rests,
  saysThatItReclaims,
} from "./requests.ts";
import type { ReclaimUnderTest } from "./trial.ts";

export const reclaimKit: Kit<ReclaimUnderTest> = {
  port: "PageReclaim",
  obligations: [
    findsAPage,
    ends,
    obeysAtomic,
    keepsToNodes,
    saysThatItReclaims,
    balances,
    rests,
    keepsContents,
    writesFilesBack,
    leavesLocked,
    leavesPinned,
    givesBack,
    countsFreed,
    killsAtLast,
    asksTheChoice,
    spares,
    endsFaults,
    keepsTheMinimum,
    leavesOtherCgroups,
    reclaimsCgroups,
  ],
};
