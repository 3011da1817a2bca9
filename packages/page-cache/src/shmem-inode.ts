// An inode of shmem, whose pages are in memory or in swap and on no disk: a file of a tmpfs, a memfd, or memory that
// processes share without a file. The inode counts its pages in its mount and in Committed_AS, and has seals. Kernel
// counterpart: struct shmem_inode_info and struct shmem_sb_info in include/linux/shmem_fs.h.
import { acrossCopies, KernelBug, KernelError } from "@hetmem/kernel";
import { type Vm, type Vma, VmFlag } from "@hetmem/mm";
import type { AddressSpace, AddressSpaceOperations, DeviceId } from "@hetmem/mm/file";
import { Inode } from "./inode.ts";

/** Seals, each of which forbids a kind of change. @see F_SEAL_SEAL in include/uapi/linux/fcntl.h */
export const Seal = { SEAL: 0x1, SHRINK: 0x2, GROW: 0x4, WRITE: 0x8, FUTURE_WRITE: 0x10 } as const;

/** A mounted tmpfs, or the mount inside the kernel. @see struct shmem_sb_info */
export class ShmemMount {
  readonly device: DeviceId;
  /**
   * Pages that the files of the mount may have together, in memory and in swap; no limit for the kernel's own mount.
   */
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

/** A file of shmem. @see struct shmem_inode_info */
export class ShmemInode extends Inode {
  static {
    acrossCopies(this, "ShmemInode");
  }

  readonly mount: ShmemMount;
  /** Seal bits. Seal.SEAL forbids further seals: only a memfd made with MFD_ALLOW_SEALING lacks it. */
  seals: number = Seal.SEAL;
  /** Pages counted in Committed_AS for the whole size of the file. */
  committed = 0;
  /**
   * Whether each page is counted in Committed_AS when it is added. False for memory that processes share without a
   * file: its whole size is counted when it is mapped.
   *
   * @see shmem_acct_block()
   */
  promisesEach = true;
  /** Pages of this file in the mount's usedPages. */
  private counted = 0;

  constructor(vm: Vm, mount: ShmemMount, ops: AddressSpaceOperations) {
    super(vm, mount.nextInode(), mount.device, ops);
    this.mount = mount;
  }

  /**
   * Counts a page that is about to be added in the mount, and in Committed_AS unless the whole file is counted there.
   *
   * @throws KernelError ENOSPC if the mount is full, or vm.overcommit_memory doesn't allow another page
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

  /** Undoes reserve(): the page could not be added. */
  unreserve(): void {
    this.giveBack(1);
  }

  /** Counts the page of reserve() as the file's: the page was added. */
  added(): void {
    this.counted++;
    this.recount();
  }

  /**
   * Uncounts pages that have left the file: truncation removes pages, and reclaim drops pages that were never written.
   *
   * @see shmem_recalc_inode()
   */
  recount(): void {
    const { pages } = this.mapping;
    const gone = this.counted - pages.pages - pages.values;
    if (gone <= 0) return;
    this.counted -= gone;
    this.giveBack(gone);
  }

  /** Uncounts pages in the mount and in Committed_AS. @see shmem_inode_unacct_blocks() */
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

  /**
   * Refuses a shared mapping that a seal forbids, and keeps one with Seal.FUTURE_WRITE from becoming writable.
   *
   * @see seal_check_future_write()
   */
  override checkMmap(vma: Vma): void {
    if ((vma.flags & VmFlag.SHARED) === 0) return;
    if (this.has(Seal.WRITE)) throw this.sealed("may not be mapped shared: map it private");
    if (!this.has(Seal.FUTURE_WRITE)) return;
    if ((vma.flags & VmFlag.WRITE) !== 0) throw this.sealed("may not be mapped shared and writable");
    vma.flags &= ~VmFlag.MAYWRITE;
  }

  /**
   * Checks a write against the seals.
   *
   * @param end byte behind the last one written
   * @throws KernelError EPERM if a seal forbids the write
   * @see shmem_write_begin()
   */
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

/**
 * The inode of an address space of shmem.
 *
 * @throws KernelBug if it belongs to a file of another kind
 * @see SHMEM_I()
 */
export function shmemInode({ host }: AddressSpace): ShmemInode {
  if (!(host instanceof ShmemInode)) throw new KernelBug(`file ${host.number} is not one of shmem`);
  return host;
}
