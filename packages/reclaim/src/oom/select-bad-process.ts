// The choice of the OOM killer's victim by badness: the process whose exit frees the most memory. Implements the port
// OomChoice of mm. Kernel counterpart: select_bad_process() in mm/oom_kill.c.
import type { Process } from "@hetmem/mm";
import type { OomChoice, OomControl } from "@hetmem/mm/ports";
import { oomBadness } from "./oom-badness.ts";

/** Chooses by badness, as the kernel does. */
export const badnessChoice: OomChoice = { selectBadProcess, oomBadness };

/**
 * Chooses the candidate with the highest badness; of several, the youngest.
 *
 * @returns "dying" if a candidate was killed already and isn't reaped yet; undefined without a candidate
 * @see select_bad_process()
 */
function selectBadProcess({ candidates, totalPages }: OomControl): Process | "dying" | undefined {
  let chosen: Process | undefined;
  let worst = Number.NEGATIVE_INFINITY;
  for (const process of candidates()) {
    if (process.mm?.oom === "victim") return "dying";
    const points = oomBadness(process, totalPages);
    if (points === undefined || points < worst) continue;
    chosen = process;
    worst = points;
  }
  return chosen;
}
