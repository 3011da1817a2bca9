// proc start, fork and exit: processes come and go.
import { exitProcess, forkProcess } from "@hetmem/mm";
import { nodesOf, processOf, systemCall, type Verbs } from "../verbs.ts";

export const LIFE: Verbs = {
  start: {
    usage: "NAME [--node N]",
    summary: "start a process; prints its pid",
    operands: [1, 1],
    options: { node: "n:" },
    *run({ io, space, operands: [name = ""], options }) {
      const [node] = nodesOf(options.values.get("n") ?? "");
      const { pid } = yield* space.start(name, node);
      io.out(`${pid}\n`);
      return 0;
    },
  },
  fork: {
    usage: "PID",
    summary: "let it make a child; prints the child's pid",
    operands: [1, 1],
    *run(call) {
      const [pid = ""] = call.operands;
      const child = yield* systemCall(call, pid, () => forkProcess(processOf(call, pid)));
      call.io.out(`${child.pid}\n`);
      return 0;
    },
  },
  exit: {
    usage: "PID",
    summary: "let it end",
    operands: [1, 1],
    *run(call) {
      yield* exitProcess(processOf(call, call.operands[0] ?? ""));
      return 0;
    },
  },
};
