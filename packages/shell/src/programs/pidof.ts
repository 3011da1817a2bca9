// pidof: the pids of the processes with a name, the youngest first. User space counterpart: pidof(1) of busybox.
import { KernelError } from "@hetmem/kernel";
import { parseOptions } from "../options.ts";
import type { Program } from "../program.ts";

export const pidof: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "s");
  const found: string[] = [];
  for (const { name: pid } of io.vfs.list("/proc").filter(({ name }) => /^\d+$/.test(name))) {
    try {
      const comm = (yield* io.vfs.read(`/proc/${pid}/comm`)).trimEnd();
      if (operands.includes(comm)) found.push(pid);
    } catch (error) {
      // The process has ended since the directory was listed.
      if (!(error instanceof KernelError)) throw error;
    }
  }
  found.sort((a, b) => Number(b) - Number(a));
  if (found.length === 0) return 1;
  io.out(`${(flags.has("s") ? found.slice(0, 1) : found).join(" ")}\n`);
  return 0;
};
