// /proc/PID/oom_score: the badness of a process for the OOM killer. /proc/PID/oom_score_adj: its adjustment by an
// administrator.
// Kernel counterpart: proc_oom_score() and oom_score_adj_write() in fs/proc/base.c.
import { KernelError, kstrtoint } from "@hetmem/kernel";
import type { Process, Vm } from "@hetmem/mm";
import { OOM_SCORE_ADJ_MIN, totalPages } from "@hetmem/reclaim";

/** Highest adjustment: the process is killed first. @see OOM_SCORE_ADJ_MAX in include/uapi/linux/oom.h */
const OOM_SCORE_ADJ_MAX = 1000;
/** Characters of a write that the kernel reads. @see PROC_NUMBUF */
const NUMBER_CHARACTERS = 12;

/** The text of oom_score: 0 to about 2000, from the pages that the machine's OomChoice rates it at. @see proc_oom_score() */
export function oomScoreText(vm: Vm, process: Process): string {
  const total = totalPages(vm);
  const badness = vm.oomChoice.oomBadness(process, total);
  const points =
    badness === undefined ? 0 : Math.trunc(((1000 + Math.trunc((badness * 1000) / total)) * 2) / 3);
  return `${points}\n`;
}

/**
 * Sets the adjustment of a process, and of all processes with the same address space.
 *
 * @throws KernelError EINVAL for a text that isn't a number from -1000 to 1000, ERANGE for one above 32 bits
 * @see __set_oom_adj()
 */
export function storeOomScoreAdj(process: Process, text: string): void {
  const value = kstrtoint(text.slice(0, NUMBER_CHARACTERS).trim(), "any");
  if (value < OOM_SCORE_ADJ_MIN || value > OOM_SCORE_ADJ_MAX) {
    throw new KernelError(
      "EINVAL",
      `${value} is no oom_score_adj: write ${OOM_SCORE_ADJ_MIN} (never kill) to ${OOM_SCORE_ADJ_MAX}`,
    );
  }
  process.oomScoreAdj = value;
  const { mm } = process;
  if (mm) for (const other of mm.vm.processes.of(mm)) other.oomScoreAdj = value;
}
