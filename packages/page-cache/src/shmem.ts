// Files of shmem as they are used: mapped, mapped without a file by MAP_SHARED | MAP_ANONYMOUS, filled ahead of time.
// Kernel counterpart: mm/shmem.c. Not modelled: huge pages in files, a policy of the file's own (mbind of a shared mapping
// is the mapping's).
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

/** What mappings of shmem do. @see shmem_vm_ops */
export const shmemVmOps: VmOperations = {
  fault: shmemFault,
  mapPages: filemapMapPages,
};

/** The mount inside the kernel, on which memfds are, and memory that is shared without a file. @see shm_mnt */
export class Shmem implements SharedMemory {
  readonly mount: ShmemMount = new ShmemMount({ major: 0, minor: 1 });
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** Promises memory for all of the mapping, unless it is mapped with MAP_NORESERVE. @see shmem_zero_setup() */
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
    // The mapping alone holds it.
    inode.opens = 0;
    vma.file = file;
    vma.ops = file.vmOps;
  }
}

/** The kernel's own mount of a machine. @throws KernelBug when the machine was made with another one, or with none */
export function shmem({ sharedMemory }: Vm): Shmem {
  if (!(sharedMemory instanceof Shmem))
    throw new KernelBug("the machine has no Shmem: give Vm pageCacheParts");
  return sharedMemory;
}

/** Shared memory for a machine, to be spread into the options of Vm. */
export const pageCacheParts: VmParts = { sharedMemory: (vm) => new Shmem(vm) };

/** A file of a tmpfs, of no bytes. */
export function createShmemInode(vm: Vm, mount: ShmemMount): ShmemInode {
  return new ShmemInode(vm, mount, shmemOps);
}

/**
 * fallocate(2): gives a file pages for the bytes [from, to), and makes it reach there.
 *
 * @param mm who pays for them; undefined: the kernel does it for itself
 * @throws KernelError ENOSPC, ENOMEM: nothing is added then; EPERM where a seal forbids it
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
      // So that reclaim swaps it instead of dropping it.
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
 * Finds or makes the page of a fault.
 *
 * @returns LOCKED, with the page referenced and locked; SIGBUS behind the end of the file, when the tmpfs is full or swap
 *   can't be read; OOM
 * @see shmem_fault()
 */
export function* shmemFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, pgoff } = fault;
  const mapping = mappingOf(vma);
  const { invalidateLock, vm } = mapping;
  const host = inodeOf(mapping);
  if (pgoff >= host.pages) return VmFault.SIGBUS;
  // Pages don't come into a hole while it is being punched, which would never end.
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

/** Whether the page has to be read from swap. */
function isInSwap({ pages, vm }: AddressSpace, index: number): boolean {
  const entry = pages.load(index);
  if (!isValue(entry)) return false;
  const word = entryValue(entry);
  if (isSwapinError(word)) return false;
  return vm.swap.cache.lookup(deviceOfEntry(word), slotOfEntry(word)) === NULL_PAGE;
}
