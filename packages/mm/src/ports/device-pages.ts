// Port: ZONE_DEVICE pages and their drivers: the lifetime of pagemaps, the kind of a page, and the way back to RAM.
// Without it, `noDevicePages`, no page belongs to a device. Kernel counterparts: get_dev_pagemap() in mm/memremap.c,
// struct dev_pagemap_ops.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import type { FaultContext } from "../vma/vma.ts";
import type { VmFault } from "../fault/vm-fault.ts";
import type { Vm } from "../vm.ts";

export interface DevicePages {
  /**
   * Takes a reference on the pagemap of a page.
   *
   * @returns false when the pagemap is dying
   * @see get_dev_pagemap()
   */
  tryGetPagemap(page: Page): boolean;
  putPagemap(page: Page): void;
  /** Owner of a page's pagemap. Other drivers neither mirror nor migrate the page. @see page->pgmap->owner */
  pgmapOwner(page: Page): unknown;
  /** Handles a CPU access to a device-private page: the driver migrates it back. @see dev_pagemap_ops.migrate_to_ram */
  migrateToRam(fault: FaultContext, page: Page): Sleeps<VmFault>;
  /** Whether the page is one of a file on persistent memory, which must not be pinned longterm. @see vma_is_fsdax() */
  isFsdax(page: Page): boolean;
  /**
   * Whether only the device can access the page. Its entries aren't present, and it can't be pinned.
   *
   * @see is_device_private_page()
   */
  isPrivate(page: Page): boolean;
  /**
   * Whether the CPU can access the page of a device. Longterm pins migrate it to RAM first.
   *
   * @see is_device_coherent_page()
   */
  isCoherent(page: Page): boolean;
  /**
   * Whether the CPU can access the page, by the rules of 4.14, where longterm pins stay.
   *
   * @see is_device_public_page()
   */
  isPublic(page: Page): boolean;
  /** The refcount of an unused page of a device: 1 before the commit, 0 since. @see 27674ef6c73f */
  idleCount(page: Page): 0 | 1;
  /**
   * Migrates a coherent page to RAM, and drops the caller's reference.
   *
   * @returns whether it was migrated
   * @see migrate_device_coherent_page()
   */
  migrateCoherent(vm: Vm, page: Page): Sleeps<boolean>;
}

export const noDevicePages: DevicePages = {
  tryGetPagemap: () => false,
  putPagemap: () => {},
  pgmapOwner: () => undefined,
  migrateToRam(_fault, page) {
    throw new KernelBug(`page ${page} is a device's, and no device is there`);
  },
  isFsdax: () => false,
  isPrivate: () => false,
  isCoherent: () => false,
  isPublic: () => false,
  idleCount: () => 0,
  *migrateCoherent() {
    return false;
  },
};
