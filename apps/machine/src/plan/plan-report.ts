// A plan as a person reads it.
import { formatIdList } from "@hetmem/kernel";
import { formatAddress, formatBytes, formatShare } from "../report/size.ts";
import { tableLines } from "../report/table.ts";
import type { Plan, PlannedBlock } from "./plan.ts";

export function planLines(plan: Plan, source: string): string[] {
  const { device, node, size, added, zone, structPages, ratio, distances, tiers, warnings } = plan;
  return [
    `${device} of ${source}: ${formatBytes(added)} of its ${formatBytes(size)} become RAM of node ${node}, online as ${zone} memory.`,
    "",
    ...zoneLines(plan),
    "",
    `struct pages  ${formatBytes(structPages.bytes)} (${formatShare(structPages.bytes / added)} of what is added), ${structPages.lands}`,
    `kernel : movable  ${formatBytes(ratio.kernel)} : ${formatBytes(ratio.movable)} = 1 : ${(ratio.movable / ratio.kernel).toFixed(2)}; ${ratio.advice}`,
    `distances from node ${node}  ${distances.map((each) => `node ${each.node}: ${each.distance}`).join(", ")}`,
    `tiers, the fastest first  ${tiers.map(({ tier, nodes }) => `memory_tier${tier}: node ${formatIdList(nodes)}`).join("; ")}`,
    "",
    "Going offline later:",
    ...runsOf(plan.blocks).map(blockLine),
    ...(warnings.length > 0 ? ["", ...warnings.map((warning) => `Warning: ${warning}.`)] : []),
  ];
}

function zoneLines({ zones }: Plan): string[] {
  const columns = [
    { title: "node" },
    { title: "zone" },
    { title: "present before", align: "right" as const },
    { title: "after", align: "right" as const },
    { title: "managed before", align: "right" as const },
    { title: "after", align: "right" as const },
  ];
  return tableLines(
    columns,
    zones.map(({ node, zone, before, after }) => [
      `${node}`,
      zone,
      ...[before.present, after.present, before.managed, after.managed].map(formatBytes),
    ]),
  );
}

/** Neighbouring blocks that are alike. */
interface BlockRun {
  readonly first: PlannedBlock;
  last: PlannedBlock;
}

function runsOf(blocks: readonly PlannedBlock[]): BlockRun[] {
  const runs: BlockRun[] = [];
  for (const block of blocks) {
    const run = runs.at(-1);
    if (run && run.last.block === block.block - 1 && run.first.why === block.why) run.last = block;
    else runs.push({ first: block, last: block });
  }
  return runs;
}

function blockLine({ first, last }: BlockRun): string {
  const names = first === last ? `memory${first.block}` : `memory${first.block} to memory${last.block}`;
  const can = first.canGoOffline ? "can" : "can't be relied on to";
  return `  ${names} (from ${formatAddress(first.start)}, ${first.zone}) ${can}: ${first.why}`;
}
