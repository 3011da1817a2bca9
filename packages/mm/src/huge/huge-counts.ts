// What a huge page knows of who maps it. The unit is 512 pages with one reference count, one owner and one place on an
// LRU list, all in the head. Entries that map it whole are counted in a word of the first tail page, which has no other
// use for it; entries that map a part are counted in the part, so that a part is mapped as often as both say. Counters of
// the machine count a part once, however it is mapped. Kernel counterpart: compound_mapcount and the compound branches of
// mm/rmap.c. (There PG_double_map stands in for a look at both counts.)
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";
import { NodeStat } from "@hetmem/zone";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";
import { describeVma, type Vma } from "../vma/vma.ts";
import { deferSplit } from "./deferred-split.ts";

export const HPAGE_PMD_ORDER = 9;
/** Small pages of a huge one. */
export const HPAGE_PMD_NR: number = 1 << HPAGE_PMD_ORDER;

/** Entries that map a compound page whole. @see compound_mapcount() */
export function compoundMapcount(memmap: MemMap, head: Page): number {
  return memmap.index((head + 1) as Page);
}

/** Entries that map a compound page or a part of it, all in all. @see total_mapcount() */
export function totalMapcount(memmap: MemMap, head: Page): number {
  const parts = 1 << memmap.compoundOrder(head);
  let count = parts === 1 ? 0 : compoundMapcount(memmap, head);
  for (let i = 0; i < parts; i++) count += memmap.mapcount((head + i) as Page);
  return count;
}

/** A fresh compound page: nobody maps it and nobody has pinned it. Its tail pages hold what their last users left. @see prep_transhuge_page() */
export function prepTranshugePage(memmap: MemMap, head: Page): void {
  const tail = (head + 1) as Page;
  memmap.setIndex(tail, 0);
  memmap.setMapping(tail, 0);
}

/** A fresh huge page, which one entry of this mapping alone maps. Its mapping must have an anon_vma. @see page_add_new_anon_rmap() */
export function hugeAddNewAnonRmap(vm: Vm, head: Page, vma: Vma, address: VirtAddr): void {
  const { memmap } = vm;
  if (!vma.anonVma) throw new KernelBug(`${describeVma(vma)} has no anon_vma to own a huge page`);
  memmap.setMapping(head, (vma.anonVma.id << 1) | MAPPING_ANON);
  memmap.setIndex(head, vma.pgoffOf(address) | 0);
  memmap.set(head, PageFlag.uptodate | PageFlag.swapbacked | PageFlag.anonExclusive);
  setCompoundMapcount(memmap, head, 1);
  addNodeStat(vm, head, NodeStat.nr_anon_transparent_hugepages, HPAGE_PMD_NR);
  addNodeStat(vm, head, NodeStat.nr_anon_pages, HPAGE_PMD_NR);
}

/** A child maps a huge page as its parent does. @see page_dup_compound_rmap() */
export function hugeDupRmap({ memmap }: Vm, head: Page): void {
  setCompoundMapcount(memmap, head, compoundMapcount(memmap, head) + 1);
}

/** An entry maps a huge page no longer. Parts that nobody maps any more wait to be freed. @see page_remove_anon_compound_rmap() */
export function hugeRemoveRmap(vm: Vm, head: Page): void {
  if (!dropWhole(vm, head)) return;
  const unmapped = partsUnmapped(vm.memmap, head);
  addNodeStat(vm, head, NodeStat.nr_anon_pages, -unmapped);
  if (unmapped > 0 && unmapped < HPAGE_PMD_NR) deferSplit(vm, head);
}

/** In the place of an entry that maps it whole there are 512 now, each of which maps a part, and has a reference. @see __split_huge_pmd_locked() */
export function hugeMapcountToParts(vm: Vm, head: Page): void {
  const { memmap } = vm;
  memmap.setRefcount(head, memmap.refcount(head) + HPAGE_PMD_NR - 1);
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const part = (head + i) as Page;
    memmap.setMapcount(part, memmap.mapcount(part) + 1);
  }
  dropWhole(vm, head);
}

/** An entry maps a part of an anonymous huge page, and none did. @see page_add_anon_rmap() */
export function partMapped(vm: Vm, page: Page): void {
  if (compoundMapcount(vm.memmap, vm.memmap.compoundHead(page)) > 0) return;
  addNodeStat(vm, page, NodeStat.nr_anon_pages, 1);
}

/** The last entry that maps this part alone is gone. @see page_remove_rmap() */
export function partUnmapped(vm: Vm, page: Page): void {
  const head = vm.memmap.compoundHead(page);
  if (compoundMapcount(vm.memmap, head) > 0) return;
  addNodeStat(vm, page, NodeStat.nr_anon_pages, -1);
  deferSplit(vm, head);
}

/** For those who count entries of compound pages otherwise than this does. */
export function setCompoundMapcount(memmap: MemMap, head: Page, count: number): void {
  memmap.setIndex((head + 1) as Page, count);
}

/** @returns whether no entry maps it whole any more @throws KernelBug when none did */
function dropWhole(vm: Vm, head: Page): boolean {
  const { memmap } = vm;
  const left = compoundMapcount(memmap, head) - 1;
  if (left < 0)
    throw new KernelBug(`an entry ends to map 2 MiB that none mapped: ${describePage(memmap, head)}`);
  setCompoundMapcount(memmap, head, left);
  if (left > 0) return false;
  addNodeStat(vm, head, NodeStat.nr_anon_transparent_hugepages, -HPAGE_PMD_NR);
  return true;
}

function partsUnmapped(memmap: MemMap, head: Page): number {
  let unmapped = 0;
  for (let i = 0; i < HPAGE_PMD_NR; i++) if (memmap.mapcount((head + i) as Page) === 0) unmapped++;
  return unmapped;
}
