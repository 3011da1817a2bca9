// What mm asks of pages in ZONE_DEVICE, answered by the pagemaps of the machine. Kernel counterparts: get_dev_pagemap() in
// mm/memremap.c, do_swap_page() in mm/memory.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { isDeviceCoherentPage, isFsdaxPage, migrateToRam, type Pagemaps } from "@hetmem/memremap";
import type { DevicePages, FaultContext, VmFault } from "@hetmem/mm";

export class PagemapPages implements DevicePages {
  readonly #pagemaps: Pagemaps;

  constructor(pagemaps: Pagemaps) {
    this.#pagemaps = pagemaps;
  }

  tryGetPagemap(page: Page): boolean {
    return this.#pagemaps.tryGetPagemap(page);
  }

  putPagemap(page: Page): void {
    this.#pagemaps.putPagemap(page);
  }

  migrateToRam(fault: FaultContext, page: Page): Sleeps<VmFault> {
    return migrateToRam(this.#pagemaps, fault, page);
  }

  isFsdax(page: Page): boolean {
    return isFsdaxPage(this.#pagemaps, page);
  }

  isCoherent(page: Page): boolean {
    return isDeviceCoherentPage(this.#pagemaps, page);
  }

  /** No driver of this machine has coherent memory yet; who brings one brings the way back to RAM, too. */
  *migrateCoherent(page: Page): Sleeps<boolean> {
    this.#pagemaps.memmap.putPage(page);
    return false;
  }
}
