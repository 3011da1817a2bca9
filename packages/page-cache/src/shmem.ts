// Operations on shmem files: faults, MAP_SHARED | MAP_ANONYMOUS mappings, fallocate().
// Kernel counterpart: mm/shmem.c. Not modelled: huge pages in files, memory policies of files (mbind() of a shared
// mapping sets the mapping's policy).
import { KernelBug, KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { entryValue, isValue } from "@hetmem/kernel/lib";
import {
  countMmEvent,
  type FaultContext,
  type MmStruct,
  type Vm,
  type Vma,
  VmFault,
  VmFlag,
  type VmOperations,
  type VmParts,
} from "@hetmem/mm";
import { type AddressSpace, setPageDirty } from "@hetmem/mm/file";
import { pageSourceAt } from "@hetmem/mm/policy";
import type { SharedMemory } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { deviceOfEntry, isSwapinError, slotOfEntry } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { filemapMapPages, mappingOf } from "./file-mmap.ts";
import { cachePageSource, unlockAndPut } from "./filemap.ts";
import { inodeOf } from "./inode.ts";
import { OpenFile } from "./open-file.ts";
import { ShmemInode, ShmemMount } from "./shmem-inode.ts";
import { shmemDiscard, shmemGetPage, shmemOps } from "./shmem-pages.ts";
import { truncateInodePages } from "./truncate.ts";

/** Operations of a mapping of shmem. @see shmem_vm_ops */
export const shmemVmOps: VmOperations = {
  fault: shmemFault,
  mapPages: filemapMapPages,
};

/** The mount inside the kernel. Its files are memfds, and memory that processes share without a file. @see shm_mnt */
export class Shmem implements SharedMemory {
  readonly mount: ShmemMount = new ShmemMount({ major: 0, minor: 1 });
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * Gives a MAP_SHARED | MAP_ANONYMOUS mapping its file. The whole size is counted in Committed_AS, unless the mapping
   * is MAP_NORESERVE.
   *
   * @throws KernelError ENOMEM if vm.overcommit_memory doesn't allow the size
   * @see shmem_zero_setup()
   */
  zeroSetup(vma: Vma): void {
    const { mm, flags, pages } = vma;
    const committed = (flags & VmFlag.NORESERVE) === 0 ? pages : 0;
    this.vm.commit.charge(mm, committed);
    const inode = new ShmemInode(this.vm, this.mount, shmemOps);
    inode.committed = committed;
    inode.promisesEach = committed === 0;
    inode.size = pages * PAGE_SIZE;
    inode.linked = false;
    const file = new OpenFile(inode, { path: "/dev/zero (deleted)", writable: true, vmOps: shmemVmOps });
    // The file has no descriptor: it goes with its last mapping.
    inode.opens = 0;
    vma.file = file;
    vma.ops = file.vmOps;
  }
}

/** The Shmem of a machine. @throws KernelBug if the machine was made without pageCacheParts */
export function shmem({ sharedMemory }: Vm): Shmem {
  if (!(sharedMemory instanceof Shmem))
    throw new KernelBug(
      "the machine has no Shmem of this copy of @hetmem/page-cache: give Vm its pageCacheParts",
    );
  return sharedMemory;
}

/** Parts of a machine that give it shared memory; spread them into the options of Vm. */
export const pageCacheParts: Required<Pick<VmParts, "sharedMemory">> = {
  sharedMemory: (vm) => new Shmem(vm),
};

/** Makes an empty file of a tmpfs, without a name. */
export function createShmemInode(vm: Vm, mount: ShmemMount): ShmemInode {
  return new ShmemInode(vm, mount, shmemOps);
}

/**
 * Gives a file pages for the bytes [from, to), and grows it to `to`: fallocate(2).
 *
 * @param from first byte
 * @param to byte behind the last
 * @param mm process that is charged; absent: the kernel itself
 * @throws KernelError ENOSPC, ENOMEM or EIO, after the pages added so far are removed again; EPERM if a seal forbids
 *   the size
 * @see shmem_fallocate()
 */
export function* shmemFallocate(inode: ShmemInode, from: number, to: number, mm?: MmStruct): Sleeps<void> {
  const { mapping } = inode;
  const { vm } = mapping;
  yield* inode.rwsem.downWrite();
  const added: number[] = [];
  try {
    if (to > inode.size) inode.checkResize(to);
    for (let index = Math.floor(from / PAGE_SIZE); index * PAGE_SIZE < to; index++) {
      const fresh = mapping.pages.load(index) === 0;
      const page = yield* shmemGetPage(mapping, index, cachePageSource(vm, mm));
      if (fresh) added.push(index);
      // Dirty: reclaim must write the page to swap; a clean one would be dropped.
      setPageDirty(vm, page);
      unlockAndPut(vm, page);
    }
    inode.size = Math.max(inode.size, to);
  } catch (error) {
    for (const index of added) yield* truncateInodePages(mapping, index * PAGE_SIZE, (index + 1) * PAGE_SIZE);
    throw error;
  } finally {
    inode.rwsem.upWrite();
  }
}

/**
 * Finds the page of a fault, or adds it.
 *
 * @returns LOCKED, with fault.page referenced and locked; SIGBUS behind the end of the file, if the tmpfs is full, or
 *   if the page can't be read from swap; OOM
 * @see shmem_fault()
 */
function* shmemFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, pgoff } = fault;
  const mapping = mappingOf(vma);
  const { invalidateLock, vm } = mapping;
  const host = inodeOf(mapping);
  if (pgoff >= host.pages) return VmFault.SIGBUS;
  // A fault waits while a hole is punched: if it added pages meanwhile, punching might never end.
  if (!invalidateLock.tryDownRead()) yield* invalidateLock.downRead();
  try {
    const major = isInSwap(mapping, pgoff) ? VmFault.MAJOR : 0;
    if (major !== 0) countMmEvent(vma.mm, VmEvent.pgmajfault);
    const fresh = mapping.pages.load(pgoff) === 0;
    fault.page = yield* shmemGetPage(mapping, pgoff, pageSourceAt(vma, fault.address));
    if (pgoff < host.pages) return major | VmFault.LOCKED;
    if (fresh && vm.memmap.mapcount(fault.page) === 0) shmemDiscard(mapping, fault.page);
    else unlockAndPut(vm, fault.page);
    fault.page = NULL_PAGE as Page;
    return VmFault.SIGBUS;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.errno === "ENOMEM" ? VmFault.OOM : VmFault.SIGBUS;
  } finally {
    invalidateLock.upRead();
  }
}

/** Whether the page at an index must be read from a swap device. */
function isInSwap({ pages, vm }: AddressSpace, index: number): boolean {
  const entry = pages.load(index);
  if (!isValue(entry)) return false;
  const word = entryValue(entry);
  if (isSwapinError(word)) return false;
  return vm.swap.cache.lookup(deviceOfEntry(word), slotOfEntry(word)) === NULL_PAGE;
}
