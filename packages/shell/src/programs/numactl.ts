// numactl: with -H the nodes, their processors and memory, and the distances between them, from /sys alone; else a program
// under a memory policy. User space counterpart: numactl(8).
import { KernelError, nodeId, parseIdList, type Sleeps } from "@hetmem/kernel";
import { fieldsOf } from "@hetmem/vfs";
import { parseOptions } from "../options.ts";
import type { ProgramMempolicy } from "../process-port.ts";
import { type Program, type ProgramContext, refuseWithoutProcesses, UsageProblem } from "../program.ts";

const NODES = "/sys/devices/system/node";

export const numactl: Program = function* (io, args) {
  const own = ownArguments(args);
  const { flags, values } = parseOptions(own, "Hlm:i:p:", { long: LONG });
  if (flags.has("H")) return yield* showHardware(io);
  const [program, ...rest] = args.slice(own.length);
  const policy = yield* policyOf(io, values, flags);
  if (program === undefined || policy === undefined)
    throw new UsageProblem("numactl -H shows the nodes; numactl -m NODES PROGRAM runs it on their memory");
  const { processes } = io.machine;
  if (!processes?.setMempolicy) return refuseWithoutProcesses();
  processes.setMempolicy(policy);
  return yield* io.exec(program, ...rest);
};

const LONG = { hardware: "H", localalloc: "l", membind: "m", interleave: "i", preferred: "p" };

/** Everything before the program: options, and their values. */
function ownArguments(args: readonly string[]): string[] {
  const own: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const argument = args[at] ?? "";
    if (!argument.startsWith("-")) break;
    own.push(argument);
    if (argument === "--") break;
    const separate = /^(?:-[mip]|--(?:membind|interleave|preferred))$/.test(argument);
    if (separate && at + 1 < args.length) own.push(args[++at] ?? "");
  }
  return own;
}

function* policyOf(
  io: ProgramContext,
  values: ReadonlyMap<string, string>,
  flags: ReadonlySet<string>,
): Sleeps<ProgramMempolicy | undefined> {
  for (const [letter, mode] of [
    ["m", "bind"],
    ["i", "interleave"],
    ["p", "preferred"],
  ] as const) {
    const text = values.get(letter);
    if (text !== undefined) return { mode, nodes: (yield* nodesOf(io, text)).map(nodeId) };
  }
  return flags.has("l") ? { mode: "local" } : undefined;
}

/** @throws UsageProblem for a text that is no list, and for nodes that are not online @see numa_parse_nodestring() */
function* nodesOf(io: ProgramContext, text: string): Sleeps<number[]> {
  const online = parseIdList((yield* io.vfs.read(`${NODES}/online`)).trim());
  if (text === "all") return online;
  try {
    const nodes = parseIdList(text);
    const missing = nodes.find((node) => !online.includes(node));
    if (missing === undefined && nodes.length > 0) return nodes;
    io.err(`libnuma: Warning: node argument ${missing ?? text} is out of range\n\n`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  throw new UsageProblem(`<${text}> is invalid`);
}

function* showHardware(io: ProgramContext): Sleeps<number> {
  const online = (yield* io.vfs.read(`${NODES}/online`)).trim();
  const nodes = parseIdList(online);
  io.out(`available: ${nodes.length} nodes (${online})\n`);
  for (const node of nodes) {
    const cpus = parseIdList(yield* io.vfs.read(`${NODES}/node${node}/cpulist`));
    io.out(`node ${node} cpus:${cpus.map((cpu) => ` ${cpu}`).join("")}\n`);
    const meminfo = fieldsOf(yield* io.vfs.read(`${NODES}/node${node}/meminfo`));
    const megabytes = (field: string): number => Math.floor((meminfo.get(field) ?? 0) / 1024);
    io.out(`node ${node} size: ${megabytes("MemTotal")} MB\n`);
    io.out(`node ${node} free: ${megabytes("MemFree")} MB\n`);
  }
  yield* printDistances(io, nodes);
  return 0;
}

function* printDistances(io: ProgramContext, nodes: readonly number[]): Sleeps<void> {
  io.out(`node distances:\nnode ${nodes.map((node) => `${cell(node)} `).join("")}\n`);
  for (const node of nodes) {
    const distances = (yield* io.vfs.read(`${NODES}/node${node}/distance`)).trim().split(/\s+/);
    io.out(`${cell(node)}: ${distances.map((distance) => `${cell(distance)} `).join("")}\n`);
  }
}

function cell(value: number | string): string {
  return `${value}`.padStart(3);
}
