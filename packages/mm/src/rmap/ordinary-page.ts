// Pages of RAM that belong to a process or a file, told from those of devices and of the kernel. Kernel counterpart:
// vm_normal_page() in mm/memory.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Whether the page is RAM that has an owner who can be given another. @see vm_normal_page() and its callers */
export function isOrdinaryPage({ memmap }: Vm, page: Page): boolean {
  return memmap.zoneOf(page) !== ZoneType.Device && !memmap.test(page, PageFlag.reserved);
}
