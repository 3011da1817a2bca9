// The inode of a dax device. All mappings of the device, by whichever open file, belong to its address space, so that
// they can be zapped at once. The inode outlives the device while mappings exist. Kernel counterpart: struct
// dax_device in drivers/dax/super.c.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { Inode, unmapMappingRange } from "@hetmem/page-cache";
import type { DevDax } from "./dev-dax.ts";

/** More pages than any mapping has. */
const ALL_PAGES = 2 ** 40;

/** The inode of a device, created at first use. @see alloc_dax() */
export function getInode(device: DevDax, vm: Vm): Inode {
  device.inode ??= new Inode(vm, 0, { major: device.bus.major, minor: device.minor }, NO_PAGE_CACHE);
  return device.inode;
}

/** Marks a device dead: mmap() and faults fail from now on, and all its mappings are zapped. @see kill_dev_dax() */
export function* killDax(device: DevDax): Sleeps<void> {
  device.alive = false;
  if (device.inode) yield* unmapMappingRange(device.inode.mapping, 0, ALL_PAGES, true);
}

/** Drops the inode of a deleted device, unless mappings are left. @see put_dax() */
export function putInode(device: DevDax): void {
  const { inode } = device;
  if (!inode) return;
  inode.linked = false;
  dropInodeIfUnused(inode);
}

/** @see iput() */
export function dropInodeIfUnused(inode: Inode): void {
  const { mapping } = inode;
  if (inode.linked || mapping.iMmap.size > 0) return;
  // Prevents a second drop.
  inode.linked = true;
  mapping.vm.mappings.remove(mapping);
}

/** A device's pages are never in the page cache; these operations are never called. @see dev_dax_aops */
const NO_PAGE_CACHE: AddressSpace["ops"] = {
  canWriteback: false,
  *readBegin() {
    return refuse();
  },
  *writeBegin() {
    return refuse();
  },
  *writepage() {
    return refuse();
  },
};

function refuse(): never {
  throw new KernelBug("a page of a dax device was looked for in a page cache");
}
