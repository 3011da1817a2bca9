// The zone types of a node, the migrate types of a pageblock, and the allocator's constants. Loading the module
// checks names against numbers. Kernel counterpart: include/linux/mmzone.h.
import { bugOn } from "@hetmem/kernel";

/** @see enum zone_type. x86-64 has no HIGHMEM. */
export const ZoneType = { DMA: 0, DMA32: 1, Normal: 2, Movable: 3, Device: 4 } as const;
/** A number of ZoneType. */
export type ZoneType = (typeof ZoneType)[keyof typeof ZoneType];
/** Zone names as /proc prints them, indexed by ZoneType. */
export const ZONE_NAMES = ["DMA", "DMA32", "Normal", "Movable", "Device"] as const;
/** A name of ZONE_NAMES. */
export type ZoneName = (typeof ZONE_NAMES)[number];
/** Zone types of a node. */
export const MAX_NR_ZONES: number = ZONE_NAMES.length;

/**
 * Pageblocks are grouped by the mobility of their pages, so that unmovable pages share pageblocks.
 *
 * @see enum migratetype
 */
export const MigrateType = { Unmovable: 0, Movable: 1, Reclaimable: 2, HighAtomic: 3, Isolate: 4 } as const;
/** A number of MigrateType. */
export type MigrateType = (typeof MigrateType)[keyof typeof MigrateType];
/** Names as /proc/pagetypeinfo prints them, indexed by MigrateType. */
export const MIGRATE_TYPE_NAMES = ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"] as const;
/** Number of migrate types with per-cpu lists: the first three. */
export const MIGRATE_PCPTYPES = 3;
/** Number of migrate types. */
export const MIGRATE_TYPES: number = MIGRATE_TYPE_NAMES.length;

/** Orders are 0 to MAX_ORDER - 1: the largest block is 4 MiB. */
export const MAX_ORDER = 11;
/** Pages of the largest block. */
export const MAX_ORDER_NR_PAGES = 1024;
/** A pageblock is as large as a huge page: 2 MiB. */
export const PAGEBLOCK_ORDER = 9;
/** Pages of a pageblock. */
export const PAGEBLOCK_NR_PAGES = 512;
/** Above this order an allocation is costly: no per-cpu lists, no endless retries. */
export const PAGE_ALLOC_COSTLY_ORDER = 3;

checkNames(ZONE_NAMES, ZoneType);
checkNames(MIGRATE_TYPE_NAMES, MigrateType);
bugOn(2 ** (MAX_ORDER - 1) !== MAX_ORDER_NR_PAGES, "the largest block isn't as large as its order says");
bugOn(2 ** PAGEBLOCK_ORDER !== PAGEBLOCK_NR_PAGES, "a pageblock isn't as large as its order says");

function checkNames(names: readonly string[], numbers: Readonly<Record<string, number>>): void {
  bugOn(Object.keys(numbers).length !== names.length, `not all of ${names.join(", ")} have a number`);
  for (const [number, name] of names.entries())
    bugOn(numbers[name] !== number, `${name} isn't number ${number}`);
}
