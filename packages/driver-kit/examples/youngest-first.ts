// A choice of the OOM killer that spares what has run for long: the youngest process dies. See docs/ports/oom-choice.md.
import type { Process } from "@hetmem/mm";
import type { OomChoice, OomControl } from "@hetmem/mm/ports";
import { badnessChoice } from "@hetmem/reclaim";

export const youngestFirst: OomChoice = {
  selectBadProcess(control: OomControl): Process | "dying" | undefined {
    let youngest: Process | undefined;
    for (const process of control.candidates()) {
      if (process.mm?.oom === "victim") return "dying";
      const mayDie = badnessChoice.oomBadness(process, control.totalPages) !== undefined;
      if (mayDie && comesBefore(process, youngest)) youngest = process;
    }
    return youngest;
  },
  oomBadness: (process, totalPages) => badnessChoice.oomBadness(process, totalPages),
};

/** Whether a process dies rather than another: for its oom_score_adj, and else for its age. */
function comesBefore(process: Process, other: Process | undefined): boolean {
  if (other === undefined || process.oomScoreAdj > other.oomScoreAdj) return true;
  return process.oomScoreAdj === other.oomScoreAdj && process.pid > other.pid;
}
