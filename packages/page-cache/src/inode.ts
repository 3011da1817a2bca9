// A file: its size, its pages, and where it is kept when it isn't in memory. Its size is set before pages behind it go,
// so that whoever has a page locked and looks at the size knows whether it may be used. Kernel counterpart: struct
// inode in include/linux/fs.h.
import { KernelBug, PAGE_SIZE, RwSemaphore } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import { AddressSpace, type AddressSpaceOperations, type DeviceId, type MappedFile } from "@hetmem/mm/file";
import type { BackingStore } from "./backing-store.ts";

export class Inode implements MappedFile {
  readonly number: number;
  readonly device: DeviceId;
  readonly mapping: AddressSpace;
  /** Undefined: nowhere, as shmem is. */
  readonly store: BackingStore | undefined;
  /** Who writes to the file or changes its size holds it. @see i_rwsem */
  readonly rwsem: RwSemaphore;
  /** Bytes. @see i_size */
  size = 0;
  /** Open files of it. */
  opens = 0;
  /** Whether it has a name; one that has none ends with its last user. @see i_nlink */
  linked = true;

  constructor(vm: Vm, number: number, device: DeviceId, ops: AddressSpaceOperations, store?: BackingStore) {
    this.number = number;
    this.device = device;
    this.store = store;
    this.mapping = vm.mappings.add((id) => new AddressSpace(vm, id, this, ops));
    this.rwsem = new RwSemaphore(vm.kernel.lockdep, `i_rwsem of file ${this.mapping.id}`);
  }

  /** Pages that the size reaches: an access behind them is SIGBUS. */
  get pages(): number {
    return Math.ceil(this.size / PAGE_SIZE);
  }

  /** Looks at a new size in bytes before the file gets it. @throws KernelError EPERM where a seal forbids it */
  checkResize(_size: number): void {}

  /** The same for a hole. */
  checkPunch(): void {}

  /** The same for a mapping, whose flags it may change. */
  checkMmap(_vma: Vma): void {}
}

/** The file that an address space of the page cache is of. @throws KernelBug for one of a driver */
export function inodeOf({ host }: AddressSpace): Inode {
  if (!(host instanceof Inode)) throw new KernelBug(`file ${host.number} is none of the page cache`);
  return host;
}
