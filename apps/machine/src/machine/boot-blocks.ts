// The block devices of memory that was there at boot: one for each block that has any, online, in its zone if it has
// only one. Kernel counterparts: memory_dev_init() and memory_block_add_nid() in drivers/base/memory.c.
import { type NodeId, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { PAGES_PER_SECTION } from "@hetmem/page";
import type { MemoryBlock, MemoryHotplug, Zone } from "@hetmem/zone";

export function registerBootBlocks(hotplug: MemoryHotplug): void {
  const { memory, pagesPerBlock } = hotplug;
  const sectionsPerBlock = pagesPerBlock / PAGES_PER_SECTION;
  const ids = new Set(
    memory.memmap.sections.present().map((section) => Math.floor(section / sectionsPerBlock)),
  );
  for (const id of ids) {
    const start = (id * pagesPerBlock) as Pfn;
    const nodes = nodesIn(hotplug, start, pagesPerBlock);
    const block: MemoryBlock = {
      id,
      start,
      pages: pagesPerBlock,
      node: nodes.at(-1) ?? (0 as NodeId),
      nodes,
      group: undefined,
      vmemmapPages: 0,
      state: "online",
      zone: nodes.length === 1 ? onlyZone(hotplug, nodes[0] as NodeId, start, pagesPerBlock) : undefined,
    };
    hotplug.registerBootBlock(block);
  }
}

function nodesIn({ memory }: MemoryHotplug, start: Pfn, pages: number): NodeId[] {
  const first = start * PAGE_SIZE;
  const end = (start + pages) * PAGE_SIZE;
  const inside = memory.memblock.memory.filter((region) => region.base < end && region.end > first);
  return [...new Set(inside.flatMap((region) => region.node ?? []))];
}

/** @see early_node_zone_for_memory_block() */
function onlyZone({ memory }: MemoryHotplug, node: NodeId, start: Pfn, pages: number): Zone | undefined {
  const zones =
    memory.nodes[node]?.zones.filter((zone) => zone.populated && zone.intersects(start, pages)) ?? [];
  return zones.length === 1 ? zones[0] : undefined;
}
