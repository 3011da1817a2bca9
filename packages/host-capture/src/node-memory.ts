// The node of each byte of System RAM, which /proc/iomem doesn't show. Memory blocks are linked to their nodes; for a block of two
// nodes the firmware's affinity table decides; on a kernel with neither, the spans of zones decide. Kernel counterpart:
// register_mem_block_under_node() in drivers/base/node.c.
import { type NodeId, nodeId, physAddr } from "@hetmem/kernel";
import type { HiddenMemory, MemoryRange } from "@hetmem/machine-spec";
import type { Affinity } from "./acpi.ts";
import { blockRange, type Host } from "./host.ts";
import { systemRam } from "./iomem.ts";
import { zoneEnd } from "./zoneinfo.ts";

export interface NodeMemory {
  /** RAM that is online, by node, ascending, adjacent ranges joined. */
  readonly online: ReadonlyMap<NodeId, readonly MemoryRange[]>;
  /** RAM in blocks that are not online. */
  readonly offline: readonly (HiddenMemory & { readonly node: NodeId })[];
}

/** Divides System RAM among the nodes. */
export function splitByNode(host: Host, affinity: Affinity): NodeMemory {
  const online = new Map<NodeId, MemoryRange[]>();
  const offline: (HiddenMemory & { node: NodeId })[] = [];
  const nodesOfBlock = blockLinks(host);
  const offlineBlocks = new Set(
    host.blocks?.blocks.filter((block) => block.state === "offline").map((block) => block.id),
  );
  for (const range of systemRam(host.iomem)) {
    for (const { piece, block } of piecesByBlock(range, host.blocks?.blockSize)) {
      const linked = (block === undefined ? undefined : nodesOfBlock.get(block)) ?? onlineNodes(host);
      for (const part of linked.length === 1
        ? [{ ...piece, node: linked[0] ?? nodeId(0) }]
        : splitPiece(piece, linked, host, affinity)) {
        if (block !== undefined && offlineBlocks.has(block)) appendOffline(offline, part);
        else append(online, part);
      }
    }
  }
  return { online, offline };
}

/** A range cut at the borders of memory blocks. */
function* piecesByBlock(
  range: MemoryRange,
  blockSize: number | undefined,
): Generator<{ piece: MemoryRange; block?: number }> {
  if (blockSize === undefined) return yield { piece: range };
  for (let start = range.start; start < range.end;) {
    const block = Math.floor(start / blockSize);
    const end = physAddr(Math.min(range.end, blockRange(block, blockSize).end));
    yield { piece: { start, end }, block };
    start = end;
  }
}

function blockLinks(host: Host): Map<number, NodeId[]> {
  const links = new Map<number, NodeId[]>();
  for (const node of host.nodes?.online ?? []) {
    for (const block of node.blocks) links.set(block, [...(links.get(block) ?? []), node.id]);
  }
  return links;
}

function onlineNodes(host: Host): NodeId[] {
  return host.nodes?.online.map((node) => node.id) ?? [nodeId(0)];
}

/** Cuts a piece of several nodes at the borders of the affinity table, or else of the zones. */
function splitPiece(
  piece: MemoryRange,
  nodes: readonly NodeId[],
  host: Host,
  affinity: Affinity,
): (MemoryRange & { node: NodeId })[] {
  const known = affinity.memory.filter((range) => nodes.includes(range.node) && !range.hotpluggable);
  const spans = host.zoneinfo.zones
    .filter((zone) => nodes.includes(zone.node) && zone.present > 0)
    .map((zone) => ({
      start: physAddr(zone.startPfn * 4096),
      end: physAddr(zoneEnd(zone) * 4096),
      node: zone.node,
    }));
  const owners = known.length > 0 ? known : spans;
  const borders = owners
    .flatMap((owner) => [owner.start, owner.end])
    .filter((border) => border > piece.start && border < piece.end);
  const cuts = [...new Set([piece.start, ...borders, piece.end])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, index) => {
    const start = cuts[index] ?? piece.start;
    const owner = owners.find((range) => range.start <= start && end <= range.end);
    return { start, end, node: owner?.node ?? nodes[0] ?? nodeId(0) };
  });
}

function append(
  online: Map<NodeId, MemoryRange[]>,
  { node, start, end }: MemoryRange & { node: NodeId },
): void {
  const ranges = online.get(node) ?? [];
  online.set(node, ranges);
  const last = ranges.at(-1);
  if (last?.end === start) ranges[ranges.length - 1] = { start: last.start, end };
  else ranges.push({ start, end });
}

function appendOffline(
  offline: (HiddenMemory & { node: NodeId })[],
  part: MemoryRange & { node: NodeId },
): void {
  const last = offline.at(-1);
  if (last?.end === part.start && last.node === part.node)
    offline[offline.length - 1] = { ...last, end: part.end };
  else offline.push({ start: part.start, end: part.end, node: part.node });
}
