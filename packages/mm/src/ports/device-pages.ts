// The port to whoever owns pages of devices: ZONE_DEVICE pagemaps and the drivers behind them. Without one there are no
// such pages. Kernel counterparts: get_dev_pagemap() in mm/memremap.c, struct dev_pagemap_ops.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import type { FaultContext } from "../vma/vma.ts";
import type { VmFault } from "../fault/vm-fault.ts";
import type { Vm } from "../vm.ts";

export interface DevicePages {
  /** Takes a reference on the pagemap of a page; false when it is dying. @see get_dev_pagemap() */
  tryGetPagemap(page: Page): boolean;
  putPagemap(page: Page): void;
  /** Who manages a device's page: others neither mirror nor move it as it is. @see page->pgmap->owner */
  pgmapOwner(page: Page): unknown;
  /** The cpu touched a page that only its device can reach: the driver moves it back. @see dev_pagemap_ops.migrate_to_ram */
  migrateToRam(fault: FaultContext, page: Page): Sleeps<VmFault>;
  /** Whether the page is of a file on persistent memory, which must not be pinned for long. @see vma_is_fsdax() */
  isFsdax(page: Page): boolean;
  /** Whether only its device can reach the page: entries for it aren't present, and nobody pins it. @see is_device_private_page() */
  isPrivate(page: Page): boolean;
  /** Whether the cpu may reach the page although it is a device's, and long pins must move it out. @see is_device_coherent_page() */
  isCoherent(page: Page): boolean;
  /** The same by the rules of 4.14: pins stay. @see is_device_public_page() */
  isPublic(page: Page): boolean;
  /** References of a device's page that nobody uses. @see 27674ef6c73f: 1 until then, 0 since */
  idleCount(page: Page): 0 | 1;
  /** Moves a coherent page to RAM; comes with a reference, and takes it. @returns whether it moved @see migrate_device_coherent_page() */
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
