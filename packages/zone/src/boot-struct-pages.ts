// The frames that hold the struct pages of boot memory. memblock allocates them top down from the node's own memory,
// so a ZONE_MOVABLE made by kernelcore= or movablecore= holds them. With movable_node, hotpluggable memory holds
// none: when the node has no other memory, the highest frames of other nodes hold them. Kernel counterparts:
// sparse_init_nid() in mm/sparse.c, vmemmap_alloc_block() in mm/sparse-vmemmap.c, should_skip_region() in
// mm/memblock.c.
import { KernelError, type NodeId } from "@hetmem/kernel";
import { type BootNode, bootZoneSizes } from "./boot-nodes.ts";
import { vmemmapPages } from "./vmemmap.ts";
import type { MovableOptions } from "./zone-sizes.ts";
import type { ZoneName } from "./zone-type.ts";

/** Frames of one zone that hold struct pages of one node's memory. */
export interface BootStructPages {
  /** The node whose memory the struct pages describe. */
  readonly of: NodeId;
  readonly node: NodeId;
  readonly zone: ZoneName;
  readonly frames: number;
}

/** Memory of one zone that memblock can still allocate for struct pages. */
interface Room {
  readonly node: NodeId;
  readonly zone: ZoneName;
  /** Frames left. */
  frames: number;
}

/**
 * The number of frames in each zone that hold struct pages of boot memory. ZONE_DMA is left out: it holds no struct
 * pages, and those of its own frames aren't counted.
 *
 * @throws KernelError ENOMEM when the memory outside hotpluggable ranges has too few frames for all of them
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

/** Takes frames for the struct pages of node `of` from the rooms, in their order. */
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
