// The programs of a machine: the programs of the shell, the tools of dax devices and persistent memory, and programs that
// work with the machine itself.
import { daxctl, ndctl } from "@hetmem/ndctl";
import { PROGRAMS as SHELL_PROGRAMS } from "@hetmem/shell";
import { explain } from "./explain.ts";
import { gpu } from "./gpu/gpu.ts";
import type { Programs } from "./machine-program.ts";
import { migratepages } from "./migratepages.ts";
import { prlimit } from "./prlimit.ts";
import { proc } from "./proc/proc.ts";
import { swapoff, swapon } from "./swap.ts";

export const PROGRAMS: Programs = {
  ...SHELL_PROGRAMS,
  daxctl: { run: daxctl, summary: "dax devices, and RAM made of them: daxctl list, reconfigure-device" },
  explain: {
    run: explain,
    summary: "who uses what a cgroup pays for, and why it was killed: explain CGROUP, -j",
  },
  gpu: { run: gpu, summary: "have devices compute on the memory of processes, and take it: gpu help" },
  migratepages: { run: migratepages, summary: "move the pages of a process to other nodes" },
  ndctl: { run: ndctl, summary: "persistent memory: ndctl list, create-namespace, destroy-namespace" },
  prlimit: { run: prlimit, summary: "limits of a process: --pid PID --memlock=SOFT:HARD" },
  proc: { run: proc, summary: "start processes and have them map, touch, read, write: proc help" },
  swapoff: { run: swapoff, summary: "take a swap area out of use; -a all" },
  swapon: { run: swapon, summary: "take a swap area into use: -a -s --show -p PRIORITY --size SIZE" },
};
