// The programs of a machine, with those that a machine adds to the shell's loaded when they are first run: each is a chunk of a
// bundle, and no part of what a page waits for.
import { PROGRAMS as SHELL_PROGRAMS } from "@hetmem/shell";
import { onDemand } from "@hetmem/shell/on-demand";
import type { Program, ProgramEntry, Programs } from "../programs/machine-program.ts";
import { type MachineProgramName, SUMMARIES } from "../programs/summaries.ts";

const OF_MACHINE: Readonly<Record<MachineProgramName, ProgramEntry>> = {
  daxctl: entry("daxctl", async () => (await import("@hetmem/ndctl")).daxctl),
  explain: entry("explain", async () => (await import("../programs/explain.ts")).explain),
  gpu: entry("gpu", async () => (await import("../programs/gpu/gpu.ts")).gpu),
  migratepages: entry("migratepages", async () => (await import("../programs/migratepages.ts")).migratepages),
  ndctl: entry("ndctl", async () => (await import("@hetmem/ndctl")).ndctl),
  prlimit: entry("prlimit", async () => (await import("../programs/prlimit.ts")).prlimit),
  proc: entry("proc", async () => (await import("../programs/proc/proc.ts")).proc),
  swapoff: entry("swapoff", async () => (await import("../programs/swap.ts")).swapoff),
  swapon: entry("swapon", async () => (await import("../programs/swap.ts")).swapon),
};

/** `PROGRAMS`, for a shell that `drive()` runs. */
export const PROGRAMS_ON_DEMAND: Programs = { ...SHELL_PROGRAMS, ...OF_MACHINE };

function entry(name: MachineProgramName, load: () => Promise<Program>): ProgramEntry {
  return { run: onDemand(load), summary: SUMMARIES[name] };
}
