// The mapcount of pages, and the counters of mapped pages. Code that writes or clears a present entry calls one of
// these; no other code changes mapcount. Kernel counterpart: mm/rmap.c (page_add_anon_rmap() and the functions next
// to it).
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import { NodeStat } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import { partMapped, partUnmapped } from "../huge/huge-counts.ts";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";
import { mlockVmaPage } from "../vma/mlock-page.ts";
import { MAPPING_ANON } from "./anon-vma.ts";

const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
const NR_FILE_MAPPED: number = NodeStat.nr_mapped;
const PARTS = PageFlag.head | PageFlag.tail;

/**
 * Adds the first entry of a newly allocated page, which is exclusive to this mapping. The mapping must have an
 * anon_vma.
 *
 * @see page_add_new_anon_rmap()
 */
export function pageAddNewAnonRmap(vm: Vm, page: Page, vma: Vma, address: VirtAddr): void {
  const { memmap } = vm;
  const owner = ((vma.anonVma ?? noAnonVma(vma)).id << 1) | MAPPING_ANON;
  memmap.own(
    page,
    owner,
    (vma.pgoff + (address - vma.start) / 4096) | 0,
    PageFlag.uptodate | PageFlag.swapbacked | PageFlag.anonExclusive,
  );
  addNodeStat(vm, page, NR_ANON_MAPPED, 1);
}

/** Adds an entry of an anonymous page. @see page_add_anon_rmap() */
export function pageAddAnonRmap(vm: Vm, page: Page, vma: Vma, address: VirtAddr): void {
  const { memmap } = vm;
  const count = memmap.mapcount(page) + 1;
  memmap.setMapcount(page, count);
  const part = memmap.test(page, PARTS);
  mlockVmaPage(page, vma);
  if (count > 1) return;
  if ((memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) === 0)
    setAnonMapping(vm, page, vma, address);
  if (part) partMapped(vm, page);
  else addNodeStat(vm, page, NR_ANON_MAPPED, 1);
}

/**
 * Adds an entry of a file's page.
 *
 * @param vma the mapping of the entry, which may be locked
 * @see page_add_file_rmap()
 */
export function pageAddFileRmap(vm: Vm, page: Page, vma?: Vma): void {
  const { memmap } = vm;
  const count = memmap.mapcount(page) + 1;
  memmap.setMapcount(page, count);
  if (vma) mlockVmaPage(page, vma);
  if (count === 1) addNodeStat(vm, page, NR_FILE_MAPPED, 1);
}

/**
 * Adds a child's entry for a page that its parent maps. Counters of mapped pages count each page once.
 *
 * @see page_dup_file_rmap()
 */
export function pageDupRmap(vm: Vm, page: Page): void {
  vm.memmap.setMapcount(page, vm.memmap.mapcount(page) + 1);
}

/**
 * Removes an entry of a page.
 *
 * @throws KernelBug when the page had none
 * @see page_remove_rmap()
 */
export function pageRemoveRmap(vm: Vm, page: Page): void {
  const { memmap } = vm;
  const left = memmap.unmap(page);
  if (left < 0) mapcountUnderflow(vm, page);
  if (left > 0) return;
  const anon = (memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) !== 0;
  if (anon && memmap.test(page, PARTS)) partUnmapped(vm, page);
  else addNodeStat(vm, page, anon ? NR_ANON_MAPPED : NR_FILE_MAPPED, -1);
}

/** Makes a page exclusive to a mapping; for a part of a huge page, the part. @see page_move_anon_rmap() */
export function pageMoveAnonRmap(vm: Vm, page: Page, vma: Vma): void {
  const { anonVma } = vma;
  if (!anonVma) throw new KernelBug(`mapping 0x${vma.start.toString(16)} has no anon_vma to own a page`);
  vm.memmap.setMapping(vm.memmap.compoundHead(page), (anonVma.id << 1) | MAPPING_ANON);
  vm.memmap.set(page, PageFlag.anonExclusive);
}

/** Whether the page is anonymous. A page without a mapping is not. @see PageAnon() */
export function pageAnon(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  return (memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) !== 0;
}

function mapcountUnderflow({ memmap }: Vm, page: Page): never {
  throw new KernelBug(`an entry ends to map what none mapped: ${describePage(memmap, page)}`);
}

function noAnonVma(vma: Vma): never {
  throw new KernelBug(`mapping 0x${vma.start.toString(16)} has no anon_vma to own a page`);
}

/**
 * Sets anon_vma and index of a page. The index holds the page offset modulo 2^32. A mapping is smaller than 2^32
 * pages, and a walk checks the entry it finds.
 */
function setAnonMapping({ memmap }: Vm, page: Page, vma: Vma, address: VirtAddr): void {
  const { anonVma } = vma;
  if (!anonVma) throw new KernelBug(`mapping 0x${vma.start.toString(16)} has no anon_vma to own a page`);
  memmap.setMapping(page, (anonVma.id << 1) | MAPPING_ANON);
  memmap.setIndex(page, vma.pgoffOf(address) | 0);
}
