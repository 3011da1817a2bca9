// How much killing a process would help. Kernel counterpart: oom_badness() in mm/oom_kill.c.
import { type Process, Rss } from "@hetmem/mm";

/** Never killed. @see OOM_SCORE_ADJ_MIN in include/uapi/linux/oom.h */
export const OOM_SCORE_ADJ_MIN = -1000;
/** The process that everything else descends from. */
const INIT_PID = 1;

/**
 * The pages that would be free without the process, shifted by its oom_score_adj: a thousandth of all pages a point.
 *
 * @param totalPages of memory and swap that the shortage is about
 * @returns undefined for a process that must not be killed, or whose pages are gone already
 * @see oom_badness()
 */
export function oomBadness(process: Process, totalPages: number): number | undefined {
  const { mm, oomScoreAdj } = process;
  if (isUnkillable(process) || !mm || mm.oom === "reaped" || oomScoreAdj === OOM_SCORE_ADJ_MIN)
    return undefined;
  const tables = mm.pageTable.tables - 1;
  return (
    mm.rssPages + (mm.rss[Rss.swapEntries] as number) + tables + oomScoreAdj * Math.floor(totalPages / 1000)
  );
}

/** @see oom_unkillable_task() */
export function isUnkillable({ pid }: Process): boolean {
  return pid === INIT_PID;
}
