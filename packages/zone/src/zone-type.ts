// The zones of a node and the migrate types of a pageblock: the vocabulary of the allocator. Names and numbers are checked
// against each other as the module is loaded. Kernel counterpart: include/linux/mmzone.h.
import { bugOn } from "@hetmem/kernel";

/** @see enum zone_type. x86-64 has no HIGHMEM. */
export const ZoneType = { DMA: 0, DMA32: 1, Normal: 2, Movable: 3, Device: 4 } as const;
export type ZoneType = (typeof ZoneType)[keyof typeof ZoneType];
/** In the order of their numbers, as /proc prints them. */
export const ZONE_NAMES = ["DMA", "DMA32", "Normal", "Movable", "Device"] as const;
export type ZoneName = (typeof ZONE_NAMES)[number];
export const MAX_NR_ZONES: number = ZONE_NAMES.length;

/** What a pageblock is used for, so that pages that can't move stay together. @see enum migratetype */
export const MigrateType = { Unmovable: 0, Movable: 1, Reclaimable: 2, HighAtomic: 3, Isolate: 4 } as const;
export type MigrateType = (typeof MigrateType)[keyof typeof MigrateType];
export const MIGRATE_TYPE_NAMES = ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"] as const;
/** The types that per-cpu lists are kept for: the first three. */
export const MIGRATE_PCPTYPES = 3;
export const MIGRATE_TYPES: number = MIGRATE_TYPE_NAMES.length;

/** Orders run from 0 to MAX_ORDER - 1: the largest block is 4 MiB. */
export const MAX_ORDER = 11;
export const MAX_ORDER_NR_PAGES = 1024;
/** A pageblock is a 2 MiB huge page. */
export const PAGEBLOCK_ORDER = 9;
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
