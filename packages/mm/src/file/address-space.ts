// The address space of a file: its pages in memory, by page offset, and the mappings that map it. Operations of the
// file system are a port, AddressSpaceOperations. Kernel counterparts: struct address_space and struct
// address_space_operations in include/linux/fs.h.
import { type Page, RwSemaphore, type Sleeps } from "@hetmem/kernel";
import { IntervalTree, MAX_INDEX, XArray } from "@hetmem/kernel/lib";
import type { MmStruct } from "../mm-struct.ts";
import type { Vm } from "../vm.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";

/** Port: operations of a file system on the pages of a file. @see struct address_space_operations */
export interface AddressSpaceOperations {
  /**
   * Whether dirty pages are counted and written back. Pages of shmem go to swap instead.
   *
   * @see mapping_can_writeback()
   */
  readonly canWriteback: boolean;
  /**
   * Gets a page for reading: referenced and up to date.
   *
   * @param index page offset in the file
   * @param mm the address space that is charged if the page is allocated now
   * @returns NULL_PAGE for a hole, which reads as zeros
   * @throws KernelError ENOMEM, EIO
   */
  readBegin(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page>;
  /**
   * Gets a page for writing its bytes [from, to): referenced, locked, and up to date outside of the range.
   *
   * @param index page offset in the file
   * @param mm the address space that is charged if the page is allocated now
   * @throws KernelError ENOMEM, ENOSPC, EIO
   * @see write_begin()
   */
  writeBegin(
    mapping: AddressSpace,
    index: number,
    from: number,
    to: number,
    mm: MmStruct | undefined,
  ): Sleeps<Page>;
  /**
   * Writes a page, which is locked and marked clean. The page is unlocked afterwards.
   *
   * @returns false when the page can't be written now, and then it is dirty and still locked
   * @see AOP_WRITEPAGE_ACTIVATE
   */
  writepage(mapping: AddressSpace, page: Page): Sleeps<boolean>;
  /**
   * Gets a page that a hole punch or truncation covers in part: referenced and locked, read in if necessary. Absent:
   * only pages in memory are needed.
   *
   * @returns NULL_PAGE when there is no page
   * @see shmem_get_partial_folio()
   */
  partialPage?(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page>;
  /**
   * Releases what a removed entry of `pages` stands for, a page or a value such as a swap slot. Called by truncation.
   */
  forget?(mapping: AddressSpace, entry: number): void;
  /**
   * Writes pages back when too many are dirty. Called after a page was dirtied. Absent for files without writeback.
   *
   * @see balance_dirty_pages()
   */
  balanceDirtyPages?(mapping: AddressSpace): Sleeps<void>;
  /** Called when the file is deleted. @see super_operations.evict_inode */
  evict?(mapping: AddressSpace): void;
}

export interface DeviceId {
  readonly major: number;
  readonly minor: number;
}

/** The file of an address space. The page cache's Inode is one; drivers have their own. @see struct inode */
export interface MappedFile {
  readonly number: number;
  readonly device: DeviceId;
}

/** The page cache and the mappings of one file. @see struct address_space */
export class AddressSpace {
  /** The number that pages of the file carry in `mapping`, shifted left by one. */
  readonly id: number;
  readonly vm: Vm;
  /** @see mapping->host */
  readonly host: MappedFile;
  readonly ops: AddressSpaceOperations;
  /** Pages and values by page offset. @see i_pages */
  readonly pages: XArray = new XArray();
  /** Mappings of the file, by page offset. @see i_mmap */
  readonly iMmap: IntervalTree<Vma>;
  /** Lock of iMmap: held for writing by changes of the tree, for reading by reverse mapping walks. @see i_mmap_rwsem */
  readonly iMmapRwsem: RwSemaphore;
  /** Held for writing by truncation and hole punches, for reading while pages are read in. @see invalidate_lock */
  readonly invalidateLock: RwSemaphore;
  /** Whether a write has failed since the last fsync(). @see AS_EIO */
  writeError = false;

  constructor(vm: Vm, id: number, host: MappedFile, ops: AddressSpaceOperations) {
    const { lockdep } = vm.kernel;
    this.vm = vm;
    this.id = id;
    this.host = host;
    this.ops = ops;
    this.iMmap = new IntervalTree<Vma>(
      (vma) => vma.pgoff,
      (vma) => vma.lastPgoff,
    );
    this.iMmapRwsem = new RwSemaphore(lockdep, `i_mmap_rwsem of file ${id}`);
    this.invalidateLock = new RwSemaphore(lockdep, `invalidate_lock of file ${id}`);
  }

  /** @see mapping_can_writeback() */
  get canWriteback(): boolean {
    return this.ops.canWriteback;
  }

  /** Whether a shared mapping of the file exists. @see mapping_deny_writable() */
  get mappedShared(): boolean {
    for (const { flags } of this.iMmap.overlapping(0, MAX_INDEX))
      if ((flags & VmFlag.SHARED) !== 0) return true;
    return false;
  }
}
