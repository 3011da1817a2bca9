// A plan for people: what an administrator types, and the zones, struct pages, nodes and memory blocks afterwards.
import { formatBytes, formatIdList } from "@hetmem/kernel";
import type { Plan, PlannedBlock } from "./plan.ts";
import { formatAddress, formatShare } from "./size.ts";
import { tableLines } from "./table.ts";
import { wrap } from "./wrap.ts";

/** The column of the values, in characters. */
const LABEL_END = 14;

/** @param columns of the terminal */
export function planLines(plan: Plan, source: string, columns: number): string[] {
  const { node, nodeIsNew, distances, tiers, warnings, commands } = plan;
  const where = nodeIsNew
    ? `Node ${node} is new: it has no cpus, and no other memory.`
    : `Node ${node} has memory or cpus already.`;
  return [
    ...wrap(headline(plan, source), columns, ""),
    "",
    "Typed",
    ...commands.map((command) => `  ${command}`),
    "",
    "Zones",
    ...zoneLines(plan, columns - 2).map((line) => `  ${line}`),
    "",
    "Struct pages",
    ...indented(structPagesText(plan), columns),
    "",
    "Kernel and movable memory of the whole machine",
    ...indented(ratioText(plan), columns),
    "",
    "Place",
    ...indented(where, columns),
    ...labelled(
      "distances",
      distances.map((each) => `node ${each.node}: ${each.distance}`).join(", "),
      columns,
    ),
    ...labelled("tiers", tiersText(tiers), columns),
    "",
    "Can the new memory go offline again?",
    ...runsOf(plan.blocks).flatMap((run) => indented(blockText(run), columns)),
    "",
    "Warnings",
    ...warnings.flatMap((warning) => bullet(`${capital(warning)}.`, columns)),
  ];
}

function headline({ device, namespace, size, added, node, blocks }: Plan, source: string): string {
  const zones = [...new Set(blocks.map(({ zone }) => zone))].join(" and ");
  const metadata = namespace && namespace.size > size ? namespace.size - size : 0;
  const from =
    namespace === undefined
      ? device
      : `${device} (${namespace.name}, ${formatBytes(namespace.size)}${metadata > 0 ? ` with ${formatBytes(metadata)} for metadata` : ""})`;
  const part =
    added === size ? `All ${formatBytes(size)}` : `${formatBytes(added)} of the ${formatBytes(size)}`;
  return `${part} of ${from} on ${source} become RAM of node ${node}, in zone ${zones}.`;
}

function zoneLines({ zones }: Plan, width: number): string[] {
  const columns = [
    { title: "node" },
    { title: "zone" },
    { title: "present", align: "right" as const },
    { title: "then", align: "right" as const },
    { title: "managed", align: "right" as const, spare: 1 },
    { title: "then", align: "right" as const, spare: 1 },
    { title: "free", align: "right" as const },
    { title: "then", align: "right" as const },
  ];
  return tableLines(
    columns,
    zones.map(({ node, zone, before, after }) => [
      `${node}`,
      zone,
      ...[before.present, after.present, before.managed, after.managed, before.free, after.free].map(
        formatBytes,
      ),
    ]),
    width,
  );
}

function structPagesText({ structPages: { bytes, nodes }, structPagesBefore, added }: Plan): string {
  const price = `${formatBytes(bytes)}, ${formatShare(bytes / added)} of what is added`;
  const places = nodes.map(({ node, bytes: part }) =>
    nodes.length > 1 ? `${formatBytes(part)} of node ${node}` : `node ${node}`,
  );
  if (structPagesBefore.bytes > 0)
    return `${price}: RAM of ${places.join(" and ")}. As a dax device it takes ${formatBytes(structPagesBefore.bytes)} of RAM already, and gives them back.`;
  return `${price}: RAM of ${places.join(" and ")} that nobody else can use then.`;
}

function ratioText({ ratio: { kernel, movable, advice } }: Plan): string {
  const share =
    movable > 0
      ? `${formatBytes(kernel)} : ${formatBytes(movable)} = 1 : ${(movable / kernel).toFixed(2)}`
      : `${formatBytes(kernel)}, all of it the kernel's`;
  return `${share}. ${capital(advice)}.`;
}

function tiersText(tiers: Plan["tiers"]): string {
  if (tiers.length === 0) return "this release has none";
  return `${tiers.map(({ tier, nodes }) => `memory_tier${tier}: node ${formatIdList([...nodes])}`).join("; ")} (the fastest first)`;
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
    if (
      run &&
      run.last.block === block.block - 1 &&
      run.first.why === block.why &&
      run.first.zone === block.zone
    )
      run.last = block;
    else runs.push({ first: block, last: block });
  }
  return runs;
}

function blockText({ first, last }: BlockRun): string {
  const names = first === last ? `memory${first.block}` : `memory${first.block} to memory${last.block}`;
  const can = first.canGoOffline ? "yes" : "nobody can promise";
  return `${names} (from ${formatAddress(first.start)}, ${first.zone}): ${can}, ${first.why}.`;
}

function capital(sentence: string): string {
  return `${sentence[0]?.toUpperCase() ?? ""}${sentence.slice(1)}`;
}

function indented(text: string, columns: number): string[] {
  return wrap(text, columns - 2, "").map((line) => `  ${line}`);
}

/** A label, and what it is of in a column of its own. */
function labelled(label: string, text: string, columns: number): string[] {
  return wrap(text, columns - LABEL_END, "").map((line, i) =>
    i === 0 ? `  ${label}`.padEnd(LABEL_END) + line : " ".repeat(LABEL_END) + line,
  );
}

function bullet(text: string, columns: number): string[] {
  return wrap(text, columns - 4, "").map((line, i) => `${i === 0 ? "  - " : "    "}${line}`);
}
