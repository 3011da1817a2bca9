// The page table entry through which a mapping maps a page: a small, huge, device or migration entry. Reverse mapping
// walks look entries up with these functions. A caller that has slept must look again, since the entry may have
// changed. Kernel counterpart: mm/page_vma_mapped.c.
import type { Page, VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import {
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  NO_ENTRY,
  type PageTable,
  Pte,
} from "@hetmem/page-table";
import { compoundMapcount } from "../huge/huge-counts.ts";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";

/** The present or device entry that maps a page at an address, or NO_ENTRY. @see page_vma_mapped_walk() */
export function mappedEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return mapsPage(pageTable.flags(entry)) ? entry : NO_ENTRY;
}

/** The present entry that maps a page at an address, or NO_ENTRY. */
export function presentEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return (pageTable.flags(entry) & (Pte.present | Pte.special)) === Pte.present ? entry : NO_ENTRY;
}

/** The migration entry for a page at an address, or NO_ENTRY. @see PVMW_MIGRATION */
export function migrationEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return isMigration(pageTable.flags(entry)) ? entry : NO_ENTRY;
}

/** The huge entry that maps a whole compound page at an address, or NO_ENTRY. */
export function hugeEntry(pageTable: PageTable, address: VirtAddr, head: Page): number {
  const pmd = pageTable.findPmd(address);
  if (pmd === NO_ENTRY || pageTable.value(pmd) !== head) return NO_ENTRY;
  return (pageTable.flags(pmd) & (Pte.present | Pte.huge)) === (Pte.present | Pte.huge) ? pmd : NO_ENTRY;
}

/** Whether an address lies in a mapping. Pages of a compound page may lie outside. */
export function inMapping(vma: Vma, address: VirtAddr): boolean {
  return address >= vma.start && address < vma.end;
}

/** Whether any entry maps a page, or a part of a compound page. @see folio_mapped() */
export function pageMapped({ memmap }: Vm, head: Page): boolean {
  if (memmap.mapcount(head) > 0) return true;
  if (!memmap.test(head, PageFlag.head)) return false;
  if (compoundMapcount(memmap, head) > 0) return true;
  for (let i = 1; i < 1 << memmap.compoundOrder(head); i++)
    if (memmap.mapcount((head + i) as Page) > 0) return true;
  return false;
}

function mapsPage(flags: number): boolean {
  return (
    (flags & (Pte.present | Pte.special)) === Pte.present ||
    isDevicePrivate(flags) ||
    isDeviceExclusive(flags)
  );
}
