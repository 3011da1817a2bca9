// What mm asks of pages in ZONE_DEVICE, answered by the pagemaps of the machine; and what pagemaps ask
// of mm. Kernel counterparts: get_dev_pagemap() and free_zone_device_page() in mm/memremap.c, do_swap_page() in
// mm/memory.c.
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
import { clearPageMlocked, type DevicePages, type FaultContext, type Vm, VmFault } from "@hetmem/mm";
import { migrateDeviceCoherentPage } from "./migrate-device.ts";

/** For `new Vm(memory, { devices: new PagemapPages(pagemaps) })`. */
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

  /** A driver that fails as a system call would has not moved the page: its process pays, and nobody else. */
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

/** Plugs the other direction in: a page of a device that becomes idle is charged to nobody any more. */
export function connectPagemaps(vm: Vm, pagemaps: Pagemaps): void {
  pagemaps.uncharge = (page) => {
    clearPageMlocked(vm, page);
    vm.charging.uncharge(page, 1);
  };
}
