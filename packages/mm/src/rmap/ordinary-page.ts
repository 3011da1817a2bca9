// Ordinary pages: RAM of processes and files, as opposed to pages of devices and reserved pages, such as the zero
// page. Only ordinary pages are candidates for migration, NUMA balancing and memory policies. Kernel counterpart:
// vm_normal_page() in mm/memory.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Whether the page is RAM that can be migrated or reclaimed. @see vm_normal_page() and its callers */
export function isOrdinaryPage({ memmap }: Vm, page: Page): boolean {
  return memmap.zoneOf(page) !== ZoneType.Device && !memmap.test(page, PageFlag.reserved);
}
