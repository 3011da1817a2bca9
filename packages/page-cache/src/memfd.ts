// memfd_create(2): a file in memory without a name. Its seals forbid changes, so that processes that share the file
// need not trust one another. Not modelled: F_SEAL_WRITE waits for pinned pages, here it fails at once; an mmap() that
// runs while the seal is set. Kernel counterpart: mm/memfd.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import type { Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { OpenFile } from "./open-file.ts";
import { Seal, shmemInode } from "./shmem-inode.ts";
import { createShmemInode, shmem, shmemVmOps } from "./shmem.ts";

/** Flags of memfd_create(2). @see MFD_ALLOW_SEALING in include/uapi/linux/memfd.h */
export const MemfdFlag = { CLOEXEC: 0x1, ALLOW_SEALING: 0x2 } as const;

const ALL_FLAGS = MemfdFlag.CLOEXEC | MemfdFlag.ALLOW_SEALING;
const ALL_SEALS = Seal.SEAL | Seal.SHRINK | Seal.GROW | Seal.WRITE | Seal.FUTURE_WRITE;
/** Characters of a name at most: NAME_MAX (255) without "memfd:". */
const NAME_MAX = 249;

/**
 * Makes a new, empty file, open for reading and writing.
 *
 * @param name name shown in /proc/PID/maps
 * @param flags MemfdFlag bits; MFD_HUGETLB isn't modelled
 * @throws KernelError EINVAL for other flags, or a name of more than 249 characters
 * @see memfd_create()
 */
export function memfdCreate(vm: Vm, name: string, flags: number): OpenFile {
  if ((flags & ~ALL_FLAGS) !== 0)
    throw new KernelError(
      "EINVAL",
      `memfd_create flags 0x${flags.toString(16)}: CLOEXEC and ALLOW_SEALING are known`,
    );
  if (name.length > NAME_MAX)
    throw new KernelError("EINVAL", `the name of a memfd has ${NAME_MAX} characters at most`);
  const inode = createShmemInode(vm, shmem(vm).mount);
  inode.linked = false;
  if ((flags & MemfdFlag.ALLOW_SEALING) !== 0) inode.seals = 0;
  return new OpenFile(inode, { path: `/memfd:${name} (deleted)`, writable: true, vmOps: shmemVmOps });
}

/**
 * Adds seals to a file: fcntl(F_ADD_SEALS).
 *
 * @param seals Seal bits
 * @throws KernelError EPERM if the file takes no seals, or isn't open for writing; EINVAL for an unknown seal; EBUSY
 *   for Seal.WRITE while a shared mapping exists or a page has a reference besides those of the file and its mappings
 * @see memfd_add_seals()
 */
export function* memfdAddSeals(file: OpenFile, seals: number): Sleeps<void> {
  if (!file.writable)
    throw new KernelError("EPERM", `${file.path} is open for reading: its seals can't be changed`);
  if ((seals & ~ALL_SEALS) !== 0) throw new KernelError("EINVAL", `there is no seal 0x${seals.toString(16)}`);
  const inode = shmemInode(file.mapping);
  yield* inode.rwsem.downWrite();
  try {
    if ((inode.seals & Seal.SEAL) !== 0)
      throw new KernelError("EPERM", `${file.path} takes no seals: make it with MFD_ALLOW_SEALING`);
    if ((seals & Seal.WRITE) !== 0 && (inode.seals & Seal.WRITE) === 0) denyWritable(file);
    inode.seals |= seals;
  } finally {
    inode.rwsem.upWrite();
  }
}

/**
 * Checks that F_SEAL_WRITE may be set.
 *
 * @throws KernelError EBUSY
 * @see mapping_deny_writable(), memfd_wait_for_pins()
 */
function denyWritable({ path, mapping }: OpenFile): void {
  if (mapping.mappedShared)
    throw new KernelError("EBUSY", `${path} is mapped shared and could be written: unmap it first`);
  const held = heldPage(mapping);
  if (held !== NO_INDEX)
    throw new KernelError(
      "EBUSY",
      `page ${held} of ${path} has another reference, through which it may be written`,
    );
}

/** The index of a page with more references than the file and its mappings have; NO_INDEX without one. */
function heldPage({ pages, vm: { memmap } }: AddressSpace): number {
  for (let index = pages.find(0, MAX_INDEX); index !== NO_INDEX; index = pages.find(index + 1, MAX_INDEX)) {
    const entry = pages.load(index);
    if (isValue(entry)) continue;
    if (memmap.refcount(entry as Page) - memmap.mapcount(entry as Page) !== 1) return index;
  }
  return NO_INDEX;
}
