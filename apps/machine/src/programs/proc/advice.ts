// proc madvise, mlock, munlock, mbind and set_mempolicy: advice and policies of a process for its memory.
import { KernelError } from "@hetmem/kernel";
import { Madv, mlock, munlock } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { mbind, MbindFlag, setMempolicy } from "@hetmem/migrate";
import { type MempolicyRequest, type MpolMode } from "@hetmem/mm/policy";
import { sizeOf, UsageProblem } from "@hetmem/shell";
import { addressOf, mmOf, nodesOf, systemCall, type Verbs } from "../verbs.ts";

const MODES: readonly (MpolMode | "default")[] = [
  "default",
  "bind",
  "interleave",
  "local",
  "preferred",
  "preferred_many",
];

export const ADVICE: Verbs = {
  madvise: {
    usage: "PID ADDR LENGTH ADVICE",
    summary: "DONTNEED, FREE, HUGEPAGE, COLD, PAGEOUT, DONTFORK, HWPOISON …",
    operands: [4, 4],
    *run(call) {
      const [pid = "", address = "", length = "", advice = ""] = call.operands;
      const word = advice.toUpperCase().replace(/^MADV_/, "");
      const number = Object.entries(Madv).find(([name]) => name === word)?.[1];
      if (number === undefined)
        throw new KernelError("EINVAL", `${word} is no advice: write one of ${Object.keys(Madv).join(", ")}`);
      yield* systemCall(call, pid, (mm) => madvise(mm, addressOf(address), sizeOf(length), number));
      return 0;
    },
  },
  mlock: {
    usage: "PID ADDR LENGTH",
    summary: "keep a range in memory",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      yield* systemCall(call, pid, (mm) => mlock(mm, addressOf(address), sizeOf(length)));
      return 0;
    },
  },
  munlock: {
    usage: "PID ADDR LENGTH",
    summary: "let it be swapped again",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      yield* systemCall(call, pid, (mm) => munlock(mm, addressOf(address), sizeOf(length)));
      return 0;
    },
  },
  mbind: {
    usage: "PID ADDR LENGTH MODE [NODES] [--move] [--move-all] [--strict]",
    summary: "nodes for a range: bind, interleave, preferred, local, default",
    operands: [4, 5],
    options: { move: "m", "move-all": "a", strict: "s" },
    *run(call) {
      const [pid = "", address = "", length = "", mode = "", nodes] = call.operands;
      const { flags } = call.options;
      const bits =
        (flags.has("m") ? MbindFlag.MOVE : 0) |
        (flags.has("a") ? MbindFlag.MOVE_ALL : 0) |
        (flags.has("s") ? MbindFlag.STRICT : 0);
      yield* systemCall(call, pid, (mm) =>
        mbind(mm, addressOf(address), sizeOf(length), policyOf(mode, nodes), bits),
      );
      return 0;
    },
  },
  set_mempolicy: {
    usage: "PID MODE [NODES]",
    summary: "nodes for all of its memory that has none of its own",
    operands: [2, 3],
    *run(call) {
      const [pid = "", mode = "", nodes] = call.operands;
      setMempolicy(mmOf(call, pid), policyOf(mode, nodes));
      return 0;
    },
  },
};

function policyOf(word: string, nodes: string | undefined): MempolicyRequest {
  const mode = MODES.find((known) => known === word);
  if (!mode) throw new UsageProblem(`"${word}" is no policy: write one of ${MODES.join(", ")}`);
  return { mode, nodes: nodes === undefined ? [] : nodesOf(nodes) };
}
