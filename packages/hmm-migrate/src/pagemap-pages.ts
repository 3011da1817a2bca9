// Connects mm and memremap: implements mm's port for ZONE_DEVICE pages with the pagemaps of the machine, and the
// pagemaps' uncharge port with mm. Kernel counterparts: get_dev_pagemap() and free_zone_device_page() in
// mm/memremap.c, do_swap_page() in mm/memory.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import {
  type DevPagemap,
  isDeviceCoherentPage,
  isDevicePrivatePage,
  isDevicePublicPage,
  isFsdaxPage,
  migrateToRam,
  type Pagemaps,
} from "@hetmem/memremap";
import { type DevicePages, type FaultContext, type Vm, VmFault } from "@hetmem/mm";
import { clearPageMlocked } from "@hetmem/mm/vma";
import { migrateDeviceCoherentPage } from "./migrate-device.ts";

/** mm's port for device pages: `new Vm(memory, { devices: new PagemapPages(pagemaps) })`. */
export class PagemapPages implements DevicePages {
  private readonly pagemaps: Pagemaps;

  constructor(pagemaps: Pagemaps) {
    this.pagemaps = pagemaps;
  }

  tryGetPagemap(page: Page): boolean {
    return this.pagemaps.tryGetPagemap(page);
  }

  putPagemap(page: Page): void {
    this.pagemaps.putPagemap(page);
  }

  /**
   * Calls the driver of a private page. A KernelError becomes VM_FAULT_OOM or VM_FAULT_SIGBUS of the faulting
   * process.
   */
  *migrateToRam(fault: FaultContext, page: Page): Sleeps<VmFault> {
    try {
      return yield* migrateToRam(this.pagemaps, fault, page);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return error.errno === "ENOMEM" ? VmFault.OOM : VmFault.SIGBUS;
    }
  }

  isFsdax(page: Page): boolean {
    return isFsdaxPage(this.pagemaps, page);
  }

  isPrivate(page: Page): boolean {
    return isDevicePrivatePage(this.pagemaps, page);
  }

  isCoherent(page: Page): boolean {
    return isDeviceCoherentPage(this.pagemaps, page);
  }

  isPublic(page: Page): boolean {
    return isDevicePublicPage(this.pagemaps, page);
  }

  pgmapOwner(page: Page): unknown {
    return this.pagemapOf(page)?.owner;
  }

  idleCount(page: Page): 0 | 1 {
    return this.pagemapOf(page)?.idleCount ?? 0;
  }

  migrateCoherent(vm: Vm, page: Page): Sleeps<boolean> {
    return migrateDeviceCoherentPage(vm, page);
  }

  private pagemapOf(page: Page): DevPagemap | undefined {
    return this.pagemaps.pagemapOf(page);
  }
}

/** Connects the pagemaps to mm: a device page that becomes idle is munlocked and uncharged. */
export function connectPagemaps(vm: Vm, pagemaps: Pagemaps): void {
  pagemaps.uncharge = (page) => {
    clearPageMlocked(vm, page);
    vm.charging.uncharge(page, 1);
  };
}
