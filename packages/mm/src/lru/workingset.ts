// Detection of refaults: pages that are used again soon after their eviction. An evicted page leaves a shadow entry
// with the time of its eviction, measured in evictions and activations. If fewer of those have happened since than
// there are active pages, a larger inactive list would have kept the page, and it is activated at once. Kernel
// counterpart: mm/workingset.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import { NodeStat, ZoneType } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";
import { ANON, EVICTABLE_LISTS, FILE, LruList, type Lruvec } from "./lruvec.ts";

/** Bits of a shadow entry's 31: 1 for the workingset flag, 12 for the lruvec, the rest for the eviction time. */
const LRUVEC_BITS = 12;
const EVICTION_BITS: number = 31 - 1 - LRUVEC_BITS;
const EVICTION_MASK: number = 2 ** EVICTION_BITS - 1;

const REFAULTS = [NodeStat.workingset_refault_anon, NodeStat.workingset_refault_file] as const;
const ACTIVATIONS = [NodeStat.workingset_activate_anon, NodeStat.workingset_activate_file] as const;
const RESTORES = [NodeStat.workingset_restore_anon, NodeStat.workingset_restore_file] as const;

/**
 * Records the eviction of a locked page.
 *
 * @param evictor the lruvec whose reclaim evicts it
 * @returns the shadow entry, a number below zero to be stored in the page's place; 0 for none
 * @see workingset_eviction()
 */
export function workingsetEviction(vm: Vm, page: Page, evictor: Lruvec): number {
  const { memmap } = vm;
  const age = Math.floor(evictor.nonresidentAge / 2 ** bucketOrder(vm)) % 2 ** EVICTION_BITS;
  ageNonresident(evictor, 1 << memmap.compoundOrder(page));
  if (evictor.id >= 2 ** LRUVEC_BITS) return 0;
  const active = memmap.test(page, PageFlag.workingset) ? 1 : 0;
  return ~((((age << LRUVEC_BITS) | evictor.id) << 1) | active);
}

/**
 * Evaluates the shadow entry of a page that is read in again, and sets active and workingset flags. The page is on no
 * list yet.
 *
 * @see workingset_refault()
 */
export function workingsetRefault(vm: Vm, page: Page, shadow: number): void {
  const { memmap, lru } = vm;
  const word = ~shadow;
  const wasActive = (word & 1) === 1;
  const evictor = lru.findLruvec((word >> 1) & (2 ** LRUVEC_BITS - 1));
  // The lruvec may have been removed, or its id reused. In the latter case the distance is meaningless, as in the
  // kernel.
  if (!evictor) return;
  const order = bucketOrder(vm);
  const evicted = word >>> (1 + LRUVEC_BITS);
  const distance = ((Math.floor(evictor.nonresidentAge / 2 ** order) - evicted) & EVICTION_MASK) * 2 ** order;
  const kind = memmap.test(page, PageFlag.swapbacked) ? ANON : FILE;
  const pages = 1 << memmap.compoundOrder(page);
  addNodeStat(vm, page, REFAULTS[kind], pages);
  if (distance > workingsetSize(vm, evictor, kind)) return;
  const lruvec = lru.lruvecOf(page);
  memmap.set(page, PageFlag.active);
  ageNonresident(lruvec, pages);
  for (const at of lruvecAndAncestors(lruvec))
    at.activations[kind] = (at.activations[kind] as number) + pages;
  addNodeStat(vm, page, ACTIVATIONS[kind], pages);
  if (!wasActive) return;
  memmap.set(page, PageFlag.workingset);
  noteCost(vm, lruvec, kind, pages);
  addNodeStat(vm, page, RESTORES[kind], pages);
}

/** Advances the eviction clock for an activated page. @see workingset_activation() */
export function workingsetActivation({ lru, memmap }: Vm, page: Page): void {
  ageNonresident(lru.lruvecOf(page), 1 << memmap.compoundOrder(page));
}

/**
 * Records the cost of reclaiming one kind of page. Old costs decay.
 *
 * @param kind ANON or FILE
 * @param pages cost in pages
 * @see lru_note_cost() in mm/swap.c
 */
export function noteCost(vm: Vm, lruvec: Lruvec, kind: number, pages: number): void {
  for (const at of lruvecAndAncestors(lruvec)) {
    const { cost } = at;
    cost[kind] = (cost[kind] as number) + pages;
    const size = EVICTABLE_LISTS.reduce<number>(
      (sum, list) => sum + vm.lru.size(at, list, ZoneType.Movable),
      0,
    );
    if ((cost[ANON] as number) + (cost[FILE] as number) <= size / 4) continue;
    cost[ANON] = Math.floor((cost[ANON] as number) / 2);
    cost[FILE] = Math.floor((cost[FILE] as number) / 2);
  }
}

/**
 * Records the activations so far, from which the next reclaim sees whether refaults continue.
 *
 * @see snapshot_refaults() in mm/vmscan.c
 */
export function snapshotRefaults(lruvec: Lruvec | undefined): void {
  if (lruvec) [lruvec.refaults[ANON], lruvec.refaults[FILE]] = lruvec.activations as [number, number];
}

/** The refault distance up to which a page is activated, in pages. With swap, pages of the other kind count, too. */
function workingsetSize({ lru, swap }: Vm, evictor: Lruvec, kind: number): number {
  const size = (list: LruList): number => lru.size(evictor, list, ZoneType.Movable);
  let pages = size(LruList.activeFile);
  if (kind === ANON) pages += size(LruList.inactiveFile);
  if (swap.freePages > 0) {
    pages += size(LruList.activeAnon);
    if (kind === FILE) pages += size(LruList.inactiveAnon);
  }
  return pages;
}

/** Advances the eviction clocks of an lruvec and its ancestors. @see workingset_age_nonresident() */
function ageNonresident(lruvec: Lruvec, pages: number): void {
  for (const at of lruvecAndAncestors(lruvec)) at.nonresidentAge += pages;
}

function* lruvecAndAncestors(lruvec: Lruvec): Generator<Lruvec, void, void> {
  for (let at: Lruvec | undefined = lruvec; at !== undefined; at = at.parent) yield at;
}

/**
 * Base-2 logarithm of the evictions per tick of the shadow entries' clock; above 0 when there are more pages than the
 * clock has values.
 *
 * @see workingset_init()
 */
function bucketOrder({ memmap }: Vm): number {
  const bits = Math.ceil(Math.log2(memmap.sections.slots * PAGES_PER_SECTION));
  return Math.max(0, bits - EVICTION_BITS);
}
