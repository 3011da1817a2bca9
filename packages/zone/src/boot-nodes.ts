// The memory of each node as the firmware lists it. Kernel counterparts: numa_register_memblks() in arch/x86/mm/numa.c,
// e820__memblock_setup() in arch/x86/kernel/e820.c.
import { KernelError, type NodeId, type Pfn, type PhysAddr, physToPfn } from "@hetmem/kernel";
import { Memblock } from "./memblock.ts";
import {
  archZoneRanges,
  findMovableStarts,
  type MovableOptions,
  zoneSizes,
  type ZoneSize,
} from "./zone-sizes.ts";
import { ZONE_NAMES, type ZoneName } from "./zone-type.ts";

/** Bytes [start, end) of memory. */
export interface BootRange {
  readonly start: PhysAddr;
  readonly end: PhysAddr;
}

export interface BootMemoryRange extends BootRange {
  /** The firmware marks the range as hotpluggable: with movable_node it is ZONE_MOVABLE. */
  readonly hotpluggable?: boolean;
}

export interface BootNode {
  readonly id: NodeId;
  /** RAM present at boot. Partial pages at either end are left out. */
  readonly memory: readonly BootMemoryRange[];
  readonly cpus: readonly number[];
  /** Start of ZONE_MOVABLE in this node; overrides MovableOptions. */
  readonly movableFrom?: PhysAddr;
}

/**
 * A memblock with the memory of the nodes and no reserved range.
 *
 * @throws KernelError EINVAL for ranges that overlap
 */
export function memblockOf(nodes: readonly BootNode[]): Memblock {
  const memblock = new Memblock();
  for (const { id, memory } of nodes) {
    for (const { start, end, hotpluggable } of memory) {
      const taken = memblock.memory.find((region) => region.base < end && region.end > start);
      if (taken) {
        const range = `0x${start.toString(16)}-0x${(end - 1).toString(16)}`;
        throw new KernelError(
          "EINVAL",
          `memory ${range} of node ${id} overlaps memory of node ${taken.node}: give each byte to one node`,
        );
      }
      memblock.add(start, end - start, id, hotpluggable);
    }
  }
  return memblock;
}

/**
 * First frame of ZONE_MOVABLE by node: BootNode.movableFrom, else as the options say. A node without the zone is
 * absent.
 */
export function movableStartsOf(
  memblock: Memblock,
  nodes: readonly BootNode[],
  options: MovableOptions,
): Map<NodeId, Pfn> {
  const starts = findMovableStarts(memblock, options);
  for (const { id, movableFrom } of nodes)
    if (movableFrom !== undefined) starts.set(id, physToPfn(movableFrom));
  return starts;
}

/** Every zone with memory at boot, in ascending order of its start. */
export function bootZoneSizes(
  nodes: readonly BootNode[],
  options: MovableOptions,
): (ZoneSize & { readonly node: NodeId; readonly zone: ZoneName })[] {
  const memblock = memblockOf(nodes);
  const ranges = archZoneRanges(memblock);
  const movableStarts = movableStartsOf(memblock, nodes, options);
  return nodes
    .flatMap(({ id: node }) =>
      zoneSizes(memblock.pfnRanges(node), ranges, movableStarts.get(node)).map((size, type) => ({
        ...size,
        node,
        zone: ZONE_NAMES[type] as ZoneName,
      })),
    )
    .filter(({ presentPages }) => presentPages > 0)
    .sort((a, b) => a.start - b.start);
}
