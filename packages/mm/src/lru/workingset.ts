// Pages that come back soon after they were evicted. An evicted page leaves a shadow in its slot that says when it went,
// measured in evictions and activations; if fewer of those have been since than the active pages are many, it would
// have stayed on a larger inactive list, and is active at once. Kernel counterpart: mm/workingset.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import { NodeStat, ZoneType } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";
import { ANON, EVICTABLE_LISTS, FILE, LruList, type Lruvec } from "./lruvec.ts";

/** A shadow has 31 bits: whether the page was active before, whose lists it was on, and when it went. */
const LRUVEC_BITS = 12;
const EVICTION_BITS: number = 31 - 1 - LRUVEC_BITS;
const EVICTION_MASK: number = 2 ** EVICTION_BITS - 1;

const REFAULTS = [NodeStat.workingset_refault_anon, NodeStat.workingset_refault_file] as const;
const ACTIVATIONS = [NodeStat.workingset_activate_anon, NodeStat.workingset_activate_file] as const;
const RESTORES = [NodeStat.workingset_restore_anon, NodeStat.workingset_restore_file] as const;

/**
 * Notes that a locked page is evicted.
 *
 * @param evictor whose shortage evicts it
 * @returns its shadow: a number below zero to be kept in its place, 0 for none
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

/** A page takes the place of a shadow: whether it should have stayed shows in its flags. It isn't on a list yet. @see workingset_refault() */
export function workingsetRefault(vm: Vm, page: Page, shadow: number): void {
  const { memmap, lru } = vm;
  const word = ~shadow;
  const wasActive = (word & 1) === 1;
  const evictor = lru.findLruvec((word >> 1) & (2 ** LRUVEC_BITS - 1));
  // Whose lists it was on may be gone, or may be another's by now; then the distance says nothing, as in the kernel.
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
  for (const at of upwards(lruvec)) at.activations[kind] = (at.activations[kind] as number) + pages;
  addNodeStat(vm, page, ACTIVATIONS[kind], pages);
  if (!wasActive) return;
  memmap.set(page, PageFlag.workingset);
  noteCost(vm, lruvec, kind, pages);
  addNodeStat(vm, page, RESTORES[kind], pages);
}

/** A page became active: what is evicted is older by that. @see workingset_activation() */
export function workingsetActivation({ lru, memmap }: Vm, page: Page): void {
  ageNonresident(lru.lruvecOf(page), 1 << memmap.compoundOrder(page));
}

/** Notes what reclaim of one kind has cost. Old costs fade. @see lru_note_cost() in mm/swap.c */
export function noteCost(vm: Vm, lruvec: Lruvec, kind: number, pages: number): void {
  for (const at of upwards(lruvec)) {
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

/** Remembers how many pages have come back by now: reclaim sees by it whether further ones do. @see snapshot_refaults() in mm/vmscan.c */
export function snapshotRefaults(lruvec: Lruvec | undefined): void {
  if (lruvec) [lruvec.refaults[ANON], lruvec.refaults[FILE]] = lruvec.activations as [number, number];
}

/** Pages that stay in memory by right: with swap those of the other kind compete too. */
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

/** @see workingset_age_nonresident() */
function ageNonresident(lruvec: Lruvec, pages: number): void {
  for (const at of upwards(lruvec)) at.nonresidentAge += pages;
}

function* upwards(lruvec: Lruvec): Generator<Lruvec, void, void> {
  for (let at: Lruvec | undefined = lruvec; at !== undefined; at = at.parent) yield at;
}

/** Evictions that a shadow can't tell apart, as a power of two: with more pages than it has bits for, some. @see workingset_init() */
function bucketOrder({ memmap }: Vm): number {
  const bits = Math.ceil(Math.log2(memmap.sections.slots * PAGES_PER_SECTION));
  return Math.max(0, bits - EVICTION_BITS);
}
