// The obligations of a choice of the OOM killer: what reclaim, memory cgroups and /proc count on. Kernel counterpart:
// out_of_memory() in mm/oom_kill.c, the caller of select_bad_process().
import type { Kit } from "../conformance.ts";
import {
  answersAlike,
  changesNothing,
  heedsTheAdjustment,
  ratesNoneThatItSpares,
  ratesTheChosen,
} from "./answers.ts";
import {
  choosesACandidate,
  choosesSomeone,
  saysWhenThereIsNone,
  sparesInit,
  sparesProtected,
  sparesTheExited,
  sparesTheReaped,
  waitsForTheDying,
} from "./candidates.ts";
import type { OomChoiceUnderTest } from "./trial.ts";

export const oomChoiceKit: Kit<OomChoiceUnderTest> = {
  port: "OomChoice",
  obligations: [
    choosesACandidate,
    choosesSomeone,
    saysWhenThereIsNone,
    sparesInit,
    sparesProtected,
    sparesTheExited,
    sparesTheReaped,
    waitsForTheDying,
    heedsTheAdjustment,
    ratesTheChosen,
    ratesNoneThatItSpares,
    changesNothing,
    answersAlike,
  ],
};
