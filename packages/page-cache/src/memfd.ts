// memfd_create(2): a file of memory without a name, and the seals that keep those who share it from changing it under
// each other. Not modelled: waiting for pages that are pinned, F_SEAL_WRITE refuses at once; an mmap() that is under
// way while the seal is set. Kernel counterpart: mm/memfd.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import type { Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { OpenFile } from "./open-file.ts";
import { Seal, shmemInode } from "./shmem-inode.ts";
import { createShmemInode, shmem, shmemVmOps } from "./shmem.ts";

/** @see MFD_ALLOW_SEALING in include/uapi/linux/memfd.h */
export const MemfdFlag = { CLOEXEC: 0x1, ALLOW_SEALING: 0x2 } as const;

const ALL_FLAGS = MemfdFlag.CLOEXEC | MemfdFlag.ALLOW_SEALING;
const ALL_SEALS = Seal.SEAL | Seal.SHRINK | Seal.GROW | Seal.WRITE | Seal.FUTURE_WRITE;
/** NAME_MAX without "memfd:". */
const NAME_MAX = 249;

/**
 * A new, empty file that is open for reading and writing.
 *
 * @param flags MemfdFlag bits; huge pages from the reserved pool aren't modelled
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
 * fcntl(F_ADD_SEALS).
 *
 * @param seals Seal bits
 * @throws KernelError EPERM for a file that takes none, or is open for reading; EINVAL for others; EBUSY for Seal.WRITE
 *   while a shared mapping is there, or somebody holds a page
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

/** @see mapping_deny_writable(), memfd_wait_for_pins() */
function denyWritable({ path, mapping }: OpenFile): void {
  if (mapping.mappedShared)
    throw new KernelError("EBUSY", `${path} is mapped shared and could be written: unmap it first`);
  const held = heldPage(mapping);
  if (held !== NO_INDEX)
    throw new KernelError("EBUSY", `somebody holds page ${held} of ${path} and may write to it`);
}

/** A page that has more references than the file and its mappings account for. */
function heldPage({ pages, vm: { memmap } }: AddressSpace): number {
  for (let index = pages.find(0, MAX_INDEX); index !== NO_INDEX; index = pages.find(index + 1, MAX_INDEX)) {
    const entry = pages.load(index);
    if (isValue(entry)) continue;
    if (memmap.refcount(entry as Page) - memmap.mapcount(entry as Page) !== 1) return index;
  }
  return NO_INDEX;
}
