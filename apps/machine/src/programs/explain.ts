// explain: the memory that a cgroup is charged for, by process, by content, by node and by device, and the events that led
// to the OOM kills in it. There is no such program elsewhere: the kernel has no call for it.
import { explainText } from "@hetmem/explain";
import { KernelError, strerror } from "@hetmem/kernel";
import { explanationOf, parseOptions, UsageProblem } from "@hetmem/shell";
import type { Program } from "./machine-program.ts";

const MOUNT = "/sys/fs/cgroup";

export const explain: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "j", { long: { json: "j" } });
  const [argument, ...more] = operands;
  if (argument === undefined || more.length > 0)
    throw new UsageProblem(
      "explain CGROUP: a directory of /sys/fs/cgroup, or a path below it; -j for programs",
    );
  const { cgroups } = io.machine;
  if (!cgroups) throw new UsageProblem("this machine has no cgroups");
  try {
    const explanation = cgroups.explain(cgroupPath(argument, io.path(argument)));
    io.out(
      flags.has("j")
        ? `${JSON.stringify(explanation, undefined, 2)}\n`
        : explainText(explanation.attribution, explanation.ooms),
    );
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`explain: ${argument}: ${strerror(error.errno)}\n${explanationOf(error)}`);
    return 1;
  }
};

/** "/web" for /sys/fs/cgroup/web, however it is written; a path that isn't below the mount is one from the root. */
function cgroupPath(argument: string, absolute: string): string {
  return absolute === MOUNT || absolute.startsWith(`${MOUNT}/`) ? absolute.slice(MOUNT.length) : argument;
}
