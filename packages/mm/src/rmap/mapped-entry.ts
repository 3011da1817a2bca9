// The entry through which a mapping holds a page, if it does. Who has slept asks again: the entry may have gone. Kernel
// counterpart: mm/page_vma_mapped.c.
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

/** The entry that maps a page at an address: present, or one of a device's. NO_ENTRY when none does. @see page_vma_mapped_walk() */
export function mappedEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return mapsPage(pageTable.flags(entry)) ? entry : NO_ENTRY;
}

/** The present entry that maps a page at an address. */
export function presentEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return (pageTable.flags(entry) & (Pte.present | Pte.special)) === Pte.present ? entry : NO_ENTRY;
}

/** The migration entry that names a page at an address. @see PVMW_MIGRATION */
export function migrationEntry(pageTable: PageTable, address: VirtAddr, page: Page): number {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== page) return NO_ENTRY;
  return isMigration(pageTable.flags(entry)) ? entry : NO_ENTRY;
}

/** The entry of a page middle directory that maps a compound page whole at an address. */
export function hugeEntry(pageTable: PageTable, address: VirtAddr, head: Page): number {
  const pmd = pageTable.findPmd(address);
  if (pmd === NO_ENTRY || pageTable.value(pmd) !== head) return NO_ENTRY;
  return (pageTable.flags(pmd) & (Pte.present | Pte.huge)) === (Pte.present | Pte.huge) ? pmd : NO_ENTRY;
}

/** Whether an address is one of a mapping: pages of a compound page may lie outside. */
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
