// The pages of one file that are in memory, and the mappings that map them: how a page is found from its place in the
// file, and every entry of a page table from the page. What a kind of file does differently is in its operations.
// Kernel counterpart: struct address_space and struct address_space_operations in include/linux/fs.h.
import { type Page, RwSemaphore, type Sleeps } from "@hetmem/kernel";
import { IntervalTree, MAX_INDEX, XArray } from "@hetmem/kernel/lib";
import type { MmStruct } from "../mm-struct.ts";
import type { Vm } from "../vm.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";

/** What a kind of file does for its pages. @see struct address_space_operations */
export interface AddressSpaceOperations {
  /** Whether dirty pages are counted and written back; those of shmem only ever go to swap. @see mapping_can_writeback() */
  readonly canWriteback: boolean;
  /**
   * A page to read from: referenced, and up to date; NULL_PAGE for a hole that reads as zeros.
   *
   * @param mm who pays, should it come into memory now
   * @throws KernelError ENOMEM, EIO
   */
  readBegin(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page>;
  /**
   * A page to write the bytes [from, to) of: referenced, locked, and up to date outside of them.
   *
   * @throws KernelError ENOMEM, ENOSPC, EIO
   */
  writeBegin(
    mapping: AddressSpace,
    index: number,
    from: number,
    to: number,
    mm: MmStruct | undefined,
  ): Sleeps<Page>;
  /**
   * Writes a page, which comes locked and marked clean, and leaves it unlocked, unless it can't be written now: then it
   * is dirty again, and still locked.
   *
   * @returns false in that case @see AOP_WRITEPAGE_ACTIVATE
   */
  writepage(mapping: AddressSpace, page: Page): Sleeps<boolean>;
  /**
   * A page of which a part is about to go: referenced and locked, from wherever it is; NULL_PAGE when there is none.
   * Absent: what isn't in memory need not be fetched for it.
   *
   * @see shmem_get_partial_folio()
   */
  partialPage?(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page>;
  /** A page or a value left the file because a part of the file did, or all of it: what else stood for it goes too. */
  forget?(mapping: AddressSpace, entry: number): void;
  /** A page was dirtied: writes pages back where there are too many. Pages that are never written back need no balance. @see balance_dirty_pages() */
  balanceDirtyPages?(mapping: AddressSpace): Sleeps<void>;
  /** The file is no more. @see super_operations.evict_inode */
  evict?(mapping: AddressSpace): void;
}

export interface DeviceId {
  readonly major: number;
  readonly minor: number;
}

/** The file that an address space is of. The page cache has Inode for it, drivers have their own. @see struct inode */
export interface MappedFile {
  readonly number: number;
  readonly device: DeviceId;
}

export class AddressSpace {
  /** What its pages carry in `mapping`, times two. */
  readonly id: number;
  readonly vm: Vm;
  /** @see mapping->host */
  readonly host: MappedFile;
  readonly ops: AddressSpaceOperations;
  /** By page of the file. @see i_pages */
  readonly pages: XArray = new XArray();
  /** By page of the file. @see i_mmap */
  readonly iMmap: IntervalTree<Vma>;
  /** Held for writing by who changes iMmap; who walks it and acts on page tables holds it for reading. */
  readonly iMmapRwsem: RwSemaphore;
  /** Held for writing while a part of the file is taken away, for reading while pages come in. @see invalidate_lock */
  readonly invalidateLock: RwSemaphore;
  /** A page could not be written since somebody asked. @see AS_EIO */
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

  /** Whether a shared mapping of it is there, which could be written through. @see mapping_deny_writable() */
  get mappedShared(): boolean {
    for (const { flags } of this.iMmap.overlapping(0, MAX_INDEX))
      if ((flags & VmFlag.SHARED) !== 0) return true;
    return false;
  }
}
