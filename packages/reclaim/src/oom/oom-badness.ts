// Badness of a process: the memory that killing it would free, by which the OOM killer chooses and which
// /proc/PID/oom_score shows.
// Kernel counterpart: oom_badness() in mm/oom_kill.c.
import { type Process, Rss } from "@hetmem/mm";

/** Adjustment of a process that is never killed. @see OOM_SCORE_ADJ_MIN in include/uapi/linux/oom.h */
export const OOM_SCORE_ADJ_MIN = -1000;
/** The init process, which is never killed. */
const INIT_PID = 1;

/**
 * Pages that would be free without the process, plus its oom_score_adj in thousandths of all pages.
 *
 * @param totalPages pages of memory and swap that the shortage is about
 * @returns the badness in pages; undefined for a process that must not be killed, or whose memory is reaped already
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

/** Whether a process must not be killed: init. @see oom_unkillable_task() */
export function isUnkillable({ pid }: Process): boolean {
  return pid === INIT_PID;
}
