// migratepages: moves all pages of a process from some nodes to others. User space counterpart: migratepages(8) of
// numactl.
import { KernelError, type NodeId, nodeId, parseIdList, strerror } from "@hetmem/kernel";
import { migrateProcessPages } from "@hetmem/migrate";
import { explanationOf, parseOptions, UsageProblem } from "@hetmem/shell";
import { type Program, userSpaceOf } from "./machine-program.ts";

export const migratepages: Program = function* (io, args) {
  const { operands } = parseOptions(args, "");
  const [pid = "", from = "", to = ""] = operands;
  if (operands.length !== 3 || !/^\d+$/.test(pid))
    throw new UsageProblem("usage: migratepages PID FROM-NODES TO-NODES");
  const { vm } = userSpaceOf(io);
  const [fromNodes, toNodes] = [nodesOf(from), nodesOf(to)];
  try {
    yield* migrateProcessPages(vm, vm.processes.get(Number(pid)), fromNodes, toNodes);
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`migrate_pages: ${strerror(error.errno)}\n${explanationOf(error)}`);
    return 1;
  }
};

function nodesOf(text: string): NodeId[] {
  try {
    return parseIdList(text).map(nodeId);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UsageProblem(`<${text}> is invalid`);
  }
}
