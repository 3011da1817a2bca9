// numactl -H: the nodes, their processors and memory, and the distances between them, from /sys alone.
// User space counterpart: numactl(8).
import { parseIdList, type Sleeps } from "@hetmem/kernel";
import { parseOptions, type Program, type ProgramContext, UsageProblem } from "../program.ts";

const NODES = "/sys/devices/system/node";

export const numactl: Program = function* (io, args) {
  const { flags } = parseOptions(args, "H", { long: { hardware: "H" } });
  if (!flags.has("H")) throw new UsageProblem("only numactl -H is here: it shows the nodes");
  const online = (yield* io.vfs.read(`${NODES}/online`)).trim();
  const nodes = parseIdList(online);
  io.out(`available: ${nodes.length} nodes (${online})\n`);
  for (const node of nodes) {
    const cpus = parseIdList(yield* io.vfs.read(`${NODES}/node${node}/cpulist`));
    io.out(`node ${node} cpus:${cpus.map((cpu) => ` ${cpu}`).join("")}\n`);
    io.out(`node ${node} size: ${yield* megabytes(io, node, "MemTotal")} MB\n`);
    io.out(`node ${node} free: ${yield* megabytes(io, node, "MemFree")} MB\n`);
  }
  yield* printDistances(io, nodes);
  return 0;
};

function* megabytes(io: ProgramContext, node: number, field: string): Sleeps<number> {
  const meminfo = yield* io.vfs.read(`${NODES}/node${node}/meminfo`);
  return Math.floor(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(meminfo)?.[1] ?? 0) / 1024);
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
