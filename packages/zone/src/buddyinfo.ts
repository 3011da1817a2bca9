// /proc/buddyinfo and /proc/pagetypeinfo: the number of free blocks of each order, and of pageblocks of each migrate
// type. Deferred memory counts as the blocks that its initialisation will list. Kernel counterpart: mm/vmstat.c.
import type { Pfn } from "@hetmem/kernel";
import { sectionOfPfn } from "@hetmem/page";
import { type Memory, onlineNodes } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import {
  MAX_ORDER,
  MIGRATE_TYPE_NAMES,
  MIGRATE_TYPES,
  MigrateType,
  PAGEBLOCK_NR_PAGES,
  PAGEBLOCK_ORDER,
} from "./zone-type.ts";
import { belongsTo } from "./zone-span.ts";
import type { Zone } from "./zone.ts";

const ORDERS: readonly number[] = Array.from({ length: MAX_ORDER }, (_, order) => order);
const TYPES: readonly MigrateType[] = Array.from({ length: MIGRATE_TYPES }, (_, type) => type as MigrateType);
/** The kernel stops counting a list's blocks here, so that it doesn't hold the zone's lock for long. */
const BLOCKS_COUNTED_MAX = 100_000;

/** @see frag_show_print() */
export function buddyinfoText(memory: Memory): string {
  return populatedZones(memory)
    .map((zone) => {
      const counts = ORDERS.map((order) => `${freeBlocks(zone, order)}`.padStart(6));
      return `Node ${zone.node}, zone ${zone.name.padStart(8)} ${counts.join(" ")} \n`;
    })
    .join("");
}

/** @see pagetypeinfo_show() */
export function pagetypeinfoText(memory: Memory): string {
  return onlineNodes(memory)
    .filter((node) => node.presentPages > 0)
    .map((node) => nodeText(memory, node))
    .join("");
}

function nodeText(memory: Memory, node: MemoryNode): string {
  const zones = node.zones.filter((zone) => zone.populated);
  return (
    `Page block order: ${PAGEBLOCK_ORDER}\nPages per block:  ${PAGEBLOCK_NR_PAGES}\n\n` +
    `${"Free pages count per migrate type at order".padEnd(43)} ${ORDERS.map((order) => `${order}`.padStart(6)).join(" ")} \n` +
    `${zones.map(freeText).join("")}\n` +
    `${"Number of blocks type".padEnd(23)}${MIGRATE_TYPE_NAMES.map((name) => name.padStart(12)).join(" ")} \n` +
    zones.map((zone) => blockCountText(memory, zone)).join("")
  );
}

/** @see pagetypeinfo_showfree_print() */
function freeText(zone: Zone): string {
  return TYPES.map((type) => {
    const counts = ORDERS.map((order) => {
      const blocks = zone.free.blocks(order, type) + zone.deferred.blocks(order, type);
      return blocks >= BLOCKS_COUNTED_MAX ? `>${BLOCKS_COUNTED_MAX}` : `${blocks}`.padStart(6);
    });
    const name = (MIGRATE_TYPE_NAMES[type] ?? "").padStart(12);
    return `Node ${`${zone.node}`.padStart(4)}, zone ${zone.name.padStart(8)}, type ${name} ${counts.join(" ")} \n`;
  }).join("");
}

/** @see pagetypeinfo_showblockcount_print() */
function blockCountText(memory: Memory, zone: Zone): string {
  const { memmap, allocator } = memory;
  const counts: number[] = TYPES.map(() => 0);
  for (let frame = zone.startPfn; frame < zone.endPfn; frame = (frame + PAGEBLOCK_NR_PAGES) as Pfn) {
    if (!belongsTo(memory, zone, frame)) continue;
    const type = memmap.sections.isUntouched(sectionOfPfn(frame))
      ? MigrateType.Movable
      : allocator.pageblocks.get(memmap.pfnToPage(frame));
    counts[type] = (counts[type] ?? 0) + 1;
  }
  return `Node ${zone.node}, zone ${zone.name.padStart(8)} ${counts.map((count) => `${count}`.padStart(12)).join(" ")} \n`;
}

function freeBlocks(zone: Zone, order: number): number {
  return TYPES.reduce<number>(
    (sum, type) => sum + zone.free.blocks(order, type) + zone.deferred.blocks(order, type),
    0,
  );
}

function populatedZones(memory: Memory): Zone[] {
  return onlineNodes(memory).flatMap((node) => node.zones.filter((zone) => zone.populated));
}
