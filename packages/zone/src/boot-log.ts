// The lines that free_area_init() writes to the kernel log. Kernel counterpart: free_area_init() in mm/page_alloc.c.
import { type NodeId, type Pfn, pfnToPhys } from "@hetmem/kernel";
import type { Memory } from "./memory.ts";
import type { ZoneRange } from "./zone-sizes.ts";
import { ZONE_NAMES, ZoneType } from "./zone-type.ts";

export function logFreeAreaInit(
  { kernel, memblock, nodes }: Memory,
  ranges: readonly ZoneRange[],
  movableStarts: ReadonlyMap<NodeId, Pfn>,
): void {
  const info = (text: string): void => kernel.log.printk(6, text);
  info("Zone ranges:");
  for (const [type, { low, high }] of ranges.entries()) {
    if (type === ZoneType.Movable) continue;
    info(`  ${(ZONE_NAMES[type] ?? "").padEnd(8)} ${low === high ? "empty" : frames(low, high)}`);
  }
  info("Movable zone start for each node");
  for (const [node, start] of movableStarts) info(`  Node ${node}: ${address(pfnToPhys(start))}`);
  info("Early memory node ranges");
  for (const { node, start, end } of memblock.pfnRanges())
    info(`  node ${`${node}`.padStart(3)}: ${frames(start, end)}`);
  for (const node of nodes) {
    if (!node) continue;
    if (!node.online) info(`Initializing node ${node.id} as memoryless`);
    const span = node.spannedPages > 0 ? frames(node.startPfn, node.endPfn) : "as memoryless";
    info(`Initmem setup node ${node.id} ${span}`);
  }
}

function frames(start: Pfn, end: Pfn): string {
  return `[mem ${address(pfnToPhys(start))}-${address(pfnToPhys(end) - 1)}]`;
}

function address(bytes: number): string {
  return `0x${bytes.toString(16).padStart(16, "0")}`;
}
