// The inode behind a dax device: all its mappings are mappings of it, whoever opened the device how often, so that they
// can be emptied in one go. It outlives the device as long as something is mapped. Kernel counterpart: struct dax_device
// in drivers/dax/super.c.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import { type AddressSpace, Inode, unmapMappingRange, type Vm } from "@hetmem/mm";
import type { DevDax } from "./dev-dax.ts";

/** Pages that a mapping may have, and more. */
const ALL_PAGES = 2 ** 40;

/** The inode of a device, made at first use. @see alloc_dax() */
export function getInode(device: DevDax, vm: Vm): Inode {
  device.inode ??= new Inode(vm, 0, { major: device.bus.major, minor: device.minor }, NO_PAGE_CACHE);
  return device.inode;
}

/** Nobody can map the device from here on, and nobody has it mapped in the end. @see kill_dev_dax() */
export function* killDax(device: DevDax): Sleeps<void> {
  device.alive = false;
  if (device.inode) yield* unmapMappingRange(device.inode.mapping, 0, ALL_PAGES, true);
}

/** The device has ended: its inode does so too, unless there are mappings of it left. @see put_dax() */
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
  // So that nobody drops it again.
  inode.linked = true;
  mapping.vm.mappings.remove(mapping);
}

/** A device's pages are in no page cache: nothing is ever asked. @see dev_dax_aops */
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
