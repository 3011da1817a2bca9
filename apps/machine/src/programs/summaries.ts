// The lines of `help` for the programs of a machine: the same where a program is loaded and where it is loaded on demand.

export const SUMMARIES = {
  daxctl: "dax devices, and RAM made of them: daxctl list, reconfigure-device",
  explain: "who uses what a cgroup pays for, and why it was killed: explain CGROUP, -j",
  gpu: "have devices compute on the memory of processes, and take it: gpu help",
  migratepages: "move the pages of a process to other nodes",
  ndctl: "persistent memory: ndctl list, create-namespace, destroy-namespace",
  prlimit: "limits of a process: --pid PID --memlock=SOFT:HARD",
  proc: "start processes and have them map, touch, read, write: proc help",
  swapoff: "take a swap area out of use; -a all",
  swapon: "take a swap area into use: -a -s --show -p PRIORITY --size SIZE",
} as const;

/** The name of a program that comes with a machine. */
export type MachineProgramName = keyof typeof SUMMARIES;
