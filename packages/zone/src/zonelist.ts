// Zonelists: the order in which a request tries the zones of the machine. The request's node is first, then the
// others by distance, each from its highest zone down. Zonelists are built at boot, and again when a zone gets its
// first memory or loses its last. Kernel counterpart: build_all_zonelists() in mm/page_alloc.c.
import { MAX_NUMNODES, type NodeId } from "@hetmem/kernel";
import { type Memory, onlineNodes } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import type { Zone } from "./zone.ts";
import { MIGRATE_TYPES, PAGEBLOCK_NR_PAGES, ZONE_NAMES, ZoneType } from "./zone-type.ts";

/**
 * Added to the distance of a node with CPUs, so that a node without CPUs at the same distance comes first.
 *
 * @see PENALTY_FOR_NODE_WITH_CPUS
 */
const PENALTY_FOR_NODE_WITH_CPUS = 1;

/**
 * Builds the zonelists of every possible node, and logs them.
 *
 * @param joining a node that is about to go online: only its own zonelists are built then
 * @see build_all_zonelists() in mm/page_alloc.c
 */
export function buildAllZonelists(memory: Memory, joining?: NodeId): void {
  for (const node of possibleNodes(memory)) if (node.presentPages > 0) node.hasMemory = true;
  const joiner = joining === undefined ? undefined : memory.nodes[joining];
  if (joiner && !joiner.online) {
    buildZonelists(memory, joiner, new Map());
  } else {
    const load = new Map<NodeId, number>();
    for (const node of possibleNodes(memory)) buildZonelists(memory, node, load);
  }
  notePolicyZone(memory);
  logResult(memory);
  // N_MEMORY is updated after the rebuild: a node that lost its last memory is left out from the next rebuild on.
  for (const node of possibleNodes(memory)) node.hasMemory = node.presentPages > 0;
}

/**
 * Managed pages above the high watermarks, of all zones up to a type.
 *
 * @see nr_free_zone_pages() in mm/page_alloc.c
 */
export function nrFreeZonePages(memory: Memory, highest: ZoneType): number {
  let sum = 0;
  for (const zone of onlineNodes(memory)[0]?.zonelists.fallback ?? []) {
    if (zone.type <= highest) sum += Math.max(0, zone.managedPages - zone.watermark.high);
  }
  return sum;
}

/** @see build_zonelists() */
function buildZonelists(memory: Memory, node: MemoryNode, load: Map<NodeId, number>): void {
  const order = nodeOrder(memory, node, load);
  node.zonelists.fallback = order.flatMap(zonesFromTheTop);
  node.zonelists.thisNode = zonesFromTheTop(node);
  memory.kernel.log.printk(
    6,
    `Fallback order for Node ${node.id}: ${order.map(({ id }) => `${id} `).join("")}`,
  );
}

/**
 * The order of nodes in a zonelist: the node itself, then the others with memory by distance. The first node of each
 * distance gets a higher load for later zonelists, so that they begin with another. The kernel searches the remaining
 * nodes for each place; a node's load changes only after it is placed, so one sort gives the same order.
 *
 * @see find_next_best_node() in mm/page_alloc.c
 */
function nodeOrder(memory: Memory, node: MemoryNode, load: Map<NodeId, number>): MemoryNode[] {
  const others = possibleNodes(memory)
    .filter((candidate) => candidate.hasMemory && candidate !== node)
    .map((candidate) => ({ candidate, value: placeInOrder(memory, node, candidate, load) }))
    .sort((a, b) => a.value - b.value);
  const order = [node];
  let previous = node;
  for (const { candidate } of others) {
    if (memory.distance(node.id, candidate.id) !== memory.distance(node.id, previous.id))
      load.set(candidate.id, (load.get(candidate.id) ?? 0) + 1);
    order.push(candidate);
    previous = candidate;
  }
  return order;
}

/** Sort key of a candidate: distance first, then load; the lowest is first. */
function placeInOrder(
  memory: Memory,
  node: MemoryNode,
  candidate: MemoryNode,
  load: ReadonlyMap<NodeId, number>,
): number {
  const behindUs = candidate.id < node.id ? 1 : 0;
  const withCpus = candidate.cpus.length > 0 ? PENALTY_FOR_NODE_WITH_CPUS : 0;
  const cost = memory.distance(node.id, candidate.id) + behindUs + withCpus;
  // A load is below MAX_NUMNODES, so any difference in distance outweighs it.
  return cost * MAX_NUMNODES + (load.get(candidate.id) ?? 0);
}

/**
 * A node's populated zones from the highest down. ZONE_DEVICE is never populated, so it is in no zonelist.
 *
 * @see build_zonerefs_node()
 */
function zonesFromTheTop(node: MemoryNode): Zone[] {
  return node.zones.filter((zone) => zone.populated).toReversed();
}

/** @see check_highest_zone() in include/linux/mempolicy.h */
function notePolicyZone({ nodes, counters }: Memory): void {
  for (const node of nodes) {
    for (const zone of node?.zonelists.fallback ?? []) {
      if (zone.type !== ZoneType.Movable && zone.type > counters.policyZone) counters.policyZone = zone.type;
    }
  }
}

function logResult(memory: Memory): void {
  const pages = nrFreeZonePages(memory, ZoneType.Movable);
  const grouping = pages < PAGEBLOCK_NR_PAGES * MIGRATE_TYPES ? "off" : "on";
  const { log } = memory.kernel;
  log.printk(
    6,
    `Built ${onlineNodes(memory).length} zonelists, mobility grouping ${grouping}.  Total pages: ${pages}`,
  );
  log.printk(6, `Policy zone: ${ZONE_NAMES[memory.counters.policyZone]}`);
}

function possibleNodes({ nodes }: Memory): MemoryNode[] {
  return nodes.filter((node) => node !== undefined);
}
