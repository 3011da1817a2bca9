// Port: the choice of the process that the OOM killer kills. `badnessChoice` of the package reclaim implements it. The rest of
// the OOM killer, with marking, killing, reaping and the log, belongs to reclaim. Without it no process is chosen.
// Kernel counterparts: select_bad_process() and oom_badness() in mm/oom_kill.c.
import type { Process } from "../process/process.ts";
import type { OomControl } from "./reclaim-groups.ts";

export interface OomChoice {
  /**
   * Chooses a victim for a shortage. Atomic, and without any effect.
   *
   * @returns one of `control.candidates()`; "dying" if one of them was killed already and isn't reaped yet, so that
   *   memory is about to be free; undefined if none may be killed
   * @see select_bad_process()
   */
  selectBadProcess(control: OomControl): Process | "dying" | undefined;
  /**
   * Rates a process, for /proc/PID/oom_score. Atomic, and without any effect.
   *
   * @param totalPages pages of memory and swap that the shortage is about
   * @returns pages: the higher, the sooner the process is killed; undefined for a process that must not be killed
   * @see oom_badness()
   */
  oomBadness(process: Process, totalPages: number): number | undefined;
}

/** No process is chosen: the one whose fault failed dies. */
export const noOomChoice: OomChoice = {
  selectBadProcess: () => undefined,
  oomBadness: () => undefined,
};
