// The memory of one machine as the allocator and hotplug see it: nodes and their zones over one memmap. A record of
// parts, each of which is a file of this package; bootMemory() makes one.
import type { Kernel, NodeId } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { Memblock } from "./memblock.ts";
import type { MemoryNode } from "./node.ts";
import type { PageAllocator } from "./page-alloc.ts";
import type { Zone } from "./zone.ts";
import type { ZoneType } from "./zone-type.ts";

/** What the machine keeps one of. */
export interface MemoryCounters {
  /** Pages that were taken out of use because their memory fails: HardwareCorrupted. @see num_poisoned_pages */
  poisonedPages: number;
  /** Kilobytes that the zones keep free together. @see min_free_kbytes */
  minFreeKbytes: number;
  /** Whether khugepaged runs, which wants more to be kept free. */
  khugepaged: boolean;
  /** The highest zone that ever held kernel memory: NUMA policies leave those below it alone. @see policy_zone */
  policyZone: ZoneType;
}

export interface Memory {
  readonly kernel: Kernel;
  readonly memmap: MemMap;
  readonly allocator: PageAllocator;
  /** What the firmware gave, and what was reserved of it before there was an allocator. */
  readonly memblock: Memblock;
  /** By node number; absent where no node is possible. */
  readonly nodes: readonly (MemoryNode | undefined)[];
  /** What the firmware says of the way between two nodes: 10 is local. @see node_distance() */
  distance(from: NodeId, to: NodeId): number;
  /** Whether memory that may go away again defaults to ZONE_MOVABLE. */
  readonly movableNode: boolean;
  readonly counters: MemoryCounters;
}

/** Every zone of every possible node, empty ones too. */
export function* allZones(memory: Memory): Generator<Zone, void, void> {
  for (const node of memory.nodes) if (node) yield* node.zones;
}

/** The nodes that are online. */
export function onlineNodes(memory: Memory): MemoryNode[] {
  return memory.nodes.filter((node): node is MemoryNode => node?.online === true);
}

/** How many cpus are online. @see num_online_cpus() */
export function onlineCpuCount(memory: Memory): number {
  return memory.nodes.reduce((count, node) => count + (node?.cpus.length ?? 0), 0);
}

/** Numbers of the cpus that are online, ascending. */
export function onlineCpus(memory: Memory): number[] {
  return memory.nodes.flatMap((node) => [...(node?.cpus ?? [])]).sort((a, b) => a - b);
}
