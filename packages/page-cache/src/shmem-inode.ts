// A file that is kept nowhere but in memory and swap: what tmpfs is made of, and memfds, and memory that processes
// share without a file. It knows what its mount counts for it, and which seals it has. Kernel counterpart: struct
// shmem_inode_info and struct shmem_sb_info in include/linux/shmem_fs.h.
import { KernelBug, KernelError } from "@hetmem/kernel";
import { type Vm, type Vma, VmFlag } from "@hetmem/mm";
import type { AddressSpace, AddressSpaceOperations, DeviceId } from "@hetmem/mm/file";
import { Inode } from "./inode.ts";

/** What may no longer be done to a file. @see F_SEAL_SEAL in include/uapi/linux/fcntl.h */
export const Seal = { SEAL: 0x1, SHRINK: 0x2, GROW: 0x4, WRITE: 0x8, FUTURE_WRITE: 0x10 } as const;

/** One mounted tmpfs, or the one inside the kernel. @see struct shmem_sb_info */
export class ShmemMount {
  readonly device: DeviceId;
  /** Pages that its files may have together, in memory and in swap; the kernel's own mount has no limit. */
  readonly maxPages: number;
  usedPages = 0;
  private lastInode = 0;

  constructor(device: DeviceId, maxPages: number = Number.POSITIVE_INFINITY) {
    this.device = device;
    this.maxPages = maxPages;
  }

  nextInode(): number {
    return ++this.lastInode;
  }
}

export class ShmemInode extends Inode {
  readonly mount: ShmemMount;
  /** Seal bits. Only a memfd that was made for it takes further ones. */
  seals: number = Seal.SEAL;
  /** Pages that its whole size was promised to have, counted in Committed_AS. */
  committed = 0;
  /** Whether each page is promised as it is added; memory that processes share without a file is promised whole. @see shmem_acct_block() */
  promisesEach = true;
  /** Pages that the mount counts for it. */
  private counted = 0;

  constructor(vm: Vm, mount: ShmemMount, ops: AddressSpaceOperations) {
    super(vm, mount.nextInode(), mount.device, ops);
    this.mount = mount;
  }

  /**
   * Takes room in the mount for a page that is about to be added, and promises it where the whole file is not promised.
   *
   * @throws KernelError ENOSPC when the mount is full, or vm.overcommit_memory doesn't allow another page
   * @see shmem_inode_acct_block()
   */
  reserve(): void {
    this.recount();
    const { maxPages, usedPages } = this.mount;
    if (usedPages >= maxPages)
      throw new KernelError(
        "ENOSPC",
        `all ${maxPages} pages of the tmpfs are in use: remove files, or mount it with a larger size`,
      );
    if (this.promisesEach && !this.mapping.vm.commit.tryCharge(undefined, 1))
      throw new KernelError(
        "ENOSPC",
        `no further page of file ${this.number} may be promised: raise vm.overcommit_ratio or add swap`,
      );
    this.mount.usedPages++;
  }

  /** The page could not be added. */
  unreserve(): void {
    this.giveBack(1);
  }

  /** It was: the room is the file's. */
  added(): void {
    this.counted++;
    this.recount();
  }

  /** Reclaim drops pages that were never written behind the file's back, and truncation drops others. @see shmem_recalc_inode() */
  recount(): void {
    const { pages } = this.mapping;
    const gone = this.counted - pages.pages - pages.values;
    if (gone <= 0) return;
    this.counted -= gone;
    this.giveBack(gone);
  }

  /** @see shmem_inode_unacct_blocks() */
  private giveBack(pages: number): void {
    this.mount.usedPages -= pages;
    if (this.promisesEach) this.mapping.vm.commit.uncharge(pages);
  }

  override checkResize(size: number): void {
    if ((size < this.size && this.has(Seal.SHRINK)) || (size > this.size && this.has(Seal.GROW)))
      throw this.sealed(`may not get ${size} bytes`);
  }

  override checkPunch(): void {
    if (this.has(Seal.WRITE | Seal.FUTURE_WRITE)) throw this.sealed("may not get a hole");
  }

  /** A shared mapping of a sealed file can't be written, now or later. @see seal_check_future_write() */
  override checkMmap(vma: Vma): void {
    if ((vma.flags & VmFlag.SHARED) === 0) return;
    if (this.has(Seal.WRITE)) throw this.sealed("may not be mapped shared: map it private");
    if (!this.has(Seal.FUTURE_WRITE)) return;
    if ((vma.flags & VmFlag.WRITE) !== 0) throw this.sealed("may not be mapped shared and writable");
    vma.flags &= ~VmFlag.MAYWRITE;
  }

  /** Looks at a write up to a byte of the file. @throws KernelError EPERM @see shmem_write_begin() */
  checkWrite(end: number): void {
    if (this.has(Seal.WRITE | Seal.FUTURE_WRITE)) throw this.sealed("may not be written");
    if (end > this.size && this.has(Seal.GROW)) throw this.sealed("may not grow");
  }

  private has(seals: number): boolean {
    return (this.seals & seals) !== 0;
  }

  private sealed(what: string): KernelError {
    return new KernelError("EPERM", `file ${this.number} is sealed and ${what}`);
  }
}

/** @throws KernelBug for a file of another kind @see SHMEM_I() */
export function shmemInode({ host }: AddressSpace): ShmemInode {
  if (!(host instanceof ShmemInode)) throw new KernelBug(`file ${host.number} is not one of shmem`);
  return host;
}
