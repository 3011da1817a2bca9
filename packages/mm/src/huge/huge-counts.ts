// The mapcounts of a huge page. Its 512 pages share one refcount, one owner and one place on an LRU list, all kept in
// the head. Huge entries are counted in a word of the first tail page, and small entries in the mapcount of their
// part. A part is mapped as often as both counts together say. Counters of mapped pages count a part once. Kernel
// counterparts: compound_mapcount and the compound branches of mm/rmap.c. Unlike in the kernel, PG_double_map isn't
// kept: both counts are read instead.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";
import { NodeStat } from "@hetmem/zone";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";
import { describeVma, type Vma } from "../vma/vma.ts";
import { deferSplit } from "./deferred-split.ts";

export const HPAGE_PMD_ORDER = 9;
/** Small pages in a huge page. */
export const HPAGE_PMD_NR: number = 1 << HPAGE_PMD_ORDER;

/** Number of huge entries that map a compound page. @see compound_mapcount() */
export function compoundMapcount(memmap: MemMap, head: Page): number {
  return memmap.index((head + 1) as Page);
}

/** Number of entries that map a compound page or a part of it. @see total_mapcount() */
export function totalMapcount(memmap: MemMap, head: Page): number {
  const parts = 1 << memmap.compoundOrder(head);
  let count = parts === 1 ? 0 : compoundMapcount(memmap, head);
  for (let i = 0; i < parts; i++) count += memmap.mapcount((head + i) as Page);
  return count;
}

/**
 * Prepares a newly allocated compound page. Clears mapcount and pins, whose words hold the last users' values.
 *
 * @see prep_transhuge_page()
 */
export function prepTranshugePage(memmap: MemMap, head: Page): void {
  const tail = (head + 1) as Page;
  memmap.setIndex(tail, 0);
  memmap.setMapping(tail, 0);
}

/**
 * Adds the first entry of a new huge page, which is exclusive to this mapping. The mapping must have an anon_vma.
 *
 * @see page_add_new_anon_rmap()
 */
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

/** Adds a child's huge entry. @see page_dup_compound_rmap() */
export function hugeDupRmap({ memmap }: Vm, head: Page): void {
  setCompoundMapcount(memmap, head, compoundMapcount(memmap, head) + 1);
}

/**
 * Removes a huge entry. If only some parts are mapped afterwards, the page is queued for a split.
 *
 * @see page_remove_anon_compound_rmap()
 */
export function hugeRemoveRmap(vm: Vm, head: Page): void {
  if (!decrementCompoundMapcount(vm, head)) return;
  const unmapped = partsUnmapped(vm.memmap, head);
  addNodeStat(vm, head, NodeStat.nr_anon_pages, -unmapped);
  if (unmapped > 0 && unmapped < HPAGE_PMD_NR) deferSplit(vm, head);
}

/**
 * Converts the count of a huge entry into those of 512 small entries, each with a reference.
 *
 * @see __split_huge_pmd_locked()
 */
export function hugeMapcountToParts(vm: Vm, head: Page): void {
  const { memmap } = vm;
  memmap.setRefcount(head, memmap.refcount(head) + HPAGE_PMD_NR - 1);
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const part = (head + i) as Page;
    memmap.setMapcount(part, memmap.mapcount(part) + 1);
  }
  decrementCompoundMapcount(vm, head);
}

/** Counts a part of an anonymous huge page whose first small entry was made. @see page_add_anon_rmap() */
export function partMapped(vm: Vm, page: Page): void {
  if (compoundMapcount(vm.memmap, vm.memmap.compoundHead(page)) > 0) return;
  addNodeStat(vm, page, NodeStat.nr_anon_pages, 1);
}

/** Uncounts a part whose last small entry was removed. @see page_remove_rmap() */
export function partUnmapped(vm: Vm, page: Page): void {
  const head = vm.memmap.compoundHead(page);
  if (compoundMapcount(vm.memmap, head) > 0) return;
  addNodeStat(vm, page, NodeStat.nr_anon_pages, -1);
  deferSplit(vm, head);
}

/** Sets the number of huge entries. For the hugetlb pool, whose pages are counted in another way. */
export function setCompoundMapcount(memmap: MemMap, head: Page, count: number): void {
  memmap.setIndex((head + 1) as Page, count);
}

/**
 * Removes a huge entry from the count.
 *
 * @returns whether it was the last one
 * @throws KernelBug when there was none
 */
function decrementCompoundMapcount(vm: Vm, head: Page): boolean {
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
