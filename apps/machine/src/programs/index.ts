// The programs of a machine: the programs of the shell, the tools of dax devices and persistent memory, and programs that
// work with the machine itself.
import { daxctl, ndctl } from "@hetmem/ndctl";
import { PROGRAMS as SHELL_PROGRAMS } from "@hetmem/shell";
import { explain } from "./explain.ts";
import { gpu } from "./gpu/gpu.ts";
import type { ProgramEntry, Programs } from "./machine-program.ts";
import { migratepages } from "./migratepages.ts";
import { prlimit } from "./prlimit.ts";
import { proc } from "./proc/proc.ts";
import { type MachineProgramName, SUMMARIES } from "./summaries.ts";
import { swapoff, swapon } from "./swap.ts";

const OF_MACHINE: Readonly<Record<MachineProgramName, ProgramEntry>> = {
  daxctl: { run: daxctl, summary: SUMMARIES.daxctl },
  explain: { run: explain, summary: SUMMARIES.explain },
  gpu: { run: gpu, summary: SUMMARIES.gpu },
  migratepages: { run: migratepages, summary: SUMMARIES.migratepages },
  ndctl: { run: ndctl, summary: SUMMARIES.ndctl },
  prlimit: { run: prlimit, summary: SUMMARIES.prlimit },
  proc: { run: proc, summary: SUMMARIES.proc },
  swapoff: { run: swapoff, summary: SUMMARIES.swapoff },
  swapon: { run: swapon, summary: SUMMARIES.swapon },
};

export const PROGRAMS: Programs = { ...SHELL_PROGRAMS, ...OF_MACHINE };
