// A file: its size, its pages, and the disk below it, if it has one. A truncation sets the size before it removes
// pages, so that a task that has a page locked and then reads the size knows whether the page is still part of the
// file. Kernel counterpart: struct inode in include/linux/fs.h.
import { KernelBug, PAGE_SIZE, RwSemaphore } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import { AddressSpace, type AddressSpaceOperations, type DeviceId, type MappedFile } from "@hetmem/mm/file";
import type { BackingStore } from "./backing-store.ts";
import "./version.ts";

/** A file. Subclasses add what its kind needs. @see struct inode */
export class Inode implements MappedFile {
  readonly number: number;
  readonly device: DeviceId;
  readonly mapping: AddressSpace;
  /** The disk; undefined for shmem, which has none. */
  readonly store: BackingStore | undefined;
  /** Held for writing by a task that writes to the file or changes its size. @see i_rwsem */
  readonly rwsem: RwSemaphore;
  /** Size in bytes. @see i_size */
  size = 0;
  /** Open files of this inode. */
  opens = 0;
  /** Whether the inode has a name. One without is evicted with its last open file and mapping. @see i_nlink */
  linked = true;

  constructor(vm: Vm, number: number, device: DeviceId, ops: AddressSpaceOperations, store?: BackingStore) {
    this.number = number;
    this.device = device;
    this.store = store;
    this.mapping = vm.mappings.add((id) => new AddressSpace(vm, id, this, ops));
    this.rwsem = new RwSemaphore(vm.kernel.lockdep, `i_rwsem of file ${this.mapping.id}`);
  }

  /** Pages that the size reaches. An access through a mapping to a page behind them is SIGBUS. */
  get pages(): number {
    return Math.ceil(this.size / PAGE_SIZE);
  }

  /** Checks a new size, in bytes, before the file gets it. @throws KernelError EPERM if a seal forbids the size */
  checkResize(_size: number): void {}

  /** Checks that a hole may be punched. @throws KernelError EPERM if a seal forbids it */
  checkPunch(): void {}

  /** Checks a new mapping, and may clear its flags. @throws KernelError EPERM if a seal forbids the mapping */
  checkMmap(_vma: Vma): void {}
}

/**
 * The inode of an address space.
 *
 * @throws KernelBug if its pages aren't in the page cache, as those of a device driver
 */
export function inodeOf({ host }: AddressSpace): Inode {
  if (!(host instanceof Inode)) throw new KernelBug(`file ${host.number} is none of the page cache`);
  return host;
}
