// Whose frames hold the struct pages of the memory that is there at boot. They are the highest of the node itself, so that
// a ZONE_MOVABLE made by kernelcore= or movablecore= holds them; hotpluggable memory holds none with movable_node, and the
// highest frames of the other nodes do. Kernel counterparts: sparse_init_nid() in mm/sparse.c, vmemmap_alloc_block() in
// mm/sparse-vmemmap.c, should_skip_region() in mm/memblock.c.
import { KernelError, type NodeId } from "@hetmem/kernel";
import { type BootNode, bootZoneSizes } from "./boot-nodes.ts";
import { vmemmapPages } from "./vmemmap.ts";
import type { MovableOptions } from "./zone-sizes.ts";
import type { ZoneName } from "./zone-type.ts";

/** Frames of one zone that hold struct pages of one node's memory. */
export interface BootStructPages {
  /** The node whose memory they describe. */
  readonly of: NodeId;
  readonly node: NodeId;
  readonly zone: ZoneName;
  readonly frames: number;
}

/** Memory of one zone that memblock may still take for struct pages. */
interface Room {
  readonly node: NodeId;
  readonly zone: ZoneName;
  /** Frames left. */
  frames: number;
}

/**
 * What the struct pages of the boot memory cost, and which zones pay. ZONE_DMA neither pays nor is charged for its own.
 *
 * @throws KernelError ENOMEM when the memory that may hold struct pages hasn't room for all of them
 */
export function bootStructPages(nodes: readonly BootNode[], options: MovableOptions): BootStructPages[] {
  const zones = bootZoneSizes(nodes, options).filter(({ zone }) => zone !== "DMA");
  const rooms: Room[] = zones
    .filter(({ zone }) => !(options.movable_node === true && zone === "Movable"))
    .map(({ node, zone, presentPages }) => ({ node, zone, frames: presentPages }))
    .toReversed();
  return zones.flatMap(({ node, presentPages }) => {
    const own = rooms.filter((room) => room.node === node);
    const others = rooms.filter((room) => room.node !== node);
    return takeFrames([...own, ...others], node, vmemmapPages(presentPages));
  });
}

/** Takes frames for struct pages of a node out of the first rooms that have any. */
function takeFrames(rooms: readonly Room[], of: NodeId, frames: number): BootStructPages[] {
  const charges: BootStructPages[] = [];
  let left = frames;
  for (const room of rooms) {
    const taken = Math.min(left, room.frames);
    if (taken === 0) continue;
    room.frames -= taken;
    left -= taken;
    charges.push({ of, node: room.node, zone: room.zone, frames: taken });
  }
  if (left === 0) return charges;
  throw new KernelError(
    "ENOMEM",
    `the struct pages of node ${of} find no room for ${left} of their pages in memory that the kernel may use: give a node that isn't hotpluggable more`,
  );
}
