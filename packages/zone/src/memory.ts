// The memory of one machine: the record of its nodes and zones, memmap, allocator and memblock. bootMemory() makes
// one.
import type { Kernel, NodeId } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { Memblock } from "./memblock.ts";
import type { MemoryNode } from "./node.ts";
import type { PageAllocator } from "./page-alloc.ts";
import type { Zone } from "./zone.ts";
import type { ZoneType } from "./zone-type.ts";

/** Global counters and state of the machine. */
export interface MemoryCounters {
  /** HWPoison pages: HardwareCorrupted in /proc/meminfo. @see num_poisoned_pages */
  poisonedPages: number;
  /** Sum of the zones' min watermarks in KiB. @see min_free_kbytes */
  minFreeKbytes: number;
  /** Whether khugepaged runs, which raises minFreeKbytes. */
  khugepaged: boolean;
  /**
   * The highest populated zone below ZONE_MOVABLE so far: NUMA policies don't apply to zones below it.
   *
   * @see policy_zone
   */
  policyZone: ZoneType;
}

export interface Memory {
  readonly kernel: Kernel;
  readonly memmap: MemMap;
  readonly allocator: PageAllocator;
  /** Boot memory, and the ranges reserved at boot. */
  readonly memblock: Memblock;
  /** Indexed by node number; undefined where no node is possible. */
  readonly nodes: readonly (MemoryNode | undefined)[];
  /** The firmware's distance between two nodes: 10 is local. @see node_distance() */
  distance(from: NodeId, to: NodeId): number;
  /** Whether the option movable_node is set: onlined memory defaults to ZONE_MOVABLE. */
  readonly movableNode: boolean;
  readonly counters: MemoryCounters;
}

/** Every zone of every possible node, empty zones included. */
export function* allZones(memory: Memory): Generator<Zone, void, void> {
  for (const node of memory.nodes) if (node) yield* node.zones;
}

/** The online nodes, ascending. */
export function onlineNodes(memory: Memory): MemoryNode[] {
  return memory.nodes.filter((node): node is MemoryNode => node?.online === true);
}

/** Number of online CPUs. @see num_online_cpus() */
export function onlineCpuCount(memory: Memory): number {
  return memory.nodes.reduce((count, node) => count + (node?.cpus.length ?? 0), 0);
}

/** Numbers of the online CPUs, ascending. */
export function onlineCpus(memory: Memory): number[] {
  return memory.nodes.flatMap((node) => [...(node?.cpus ?? [])]).sort((a, b) => a - b);
}
