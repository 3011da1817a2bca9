// read(2) and write(2) through the page cache, so that mappings of the file see the same bytes. Each call finds one
// page at a time, and locks it for a write. A failure behind the first byte makes the call a short one. Kernel
// counterparts: filemap_read() and generic_perform_write() in mm/filemap.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { MAX_INDEX } from "@hetmem/kernel/lib";
import type { MmStruct } from "@hetmem/mm";
import { type AddressSpace, setPageDirty } from "@hetmem/mm/file";
import { markPageAccessed } from "@hetmem/mm/lru";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { unlockAndPut } from "./filemap.ts";
import { inodeOf } from "./inode.ts";
import type { OpenFile } from "./open-file.ts";
import { balanceDirtyPages } from "./writeback.ts";

const MAX_BYTES = MAX_INDEX * PAGE_SIZE;

/**
 * Reads bytes of a file.
 *
 * @param position first byte
 * @param length bytes
 * @param mm process that is charged for pages that are read into memory; absent: the kernel itself
 * @returns the bytes; fewer than `length` at the end of the file, or if a page behind the first byte can't be read
 * @throws KernelError EIO or ENOMEM if the first byte can't be read; EINVAL for a negative position
 * @see filemap_read()
 */
export function* fileRead(
  file: OpenFile,
  position: number,
  length: number,
  mm?: MmStruct,
): Sleeps<Uint8Array> {
  const { mapping } = file;
  checkRange(file, position, length);
  const { memmap } = mapping.vm;
  const parts = new Uint8Array(Math.max(0, Math.min(length, inodeOf(mapping).size - position)));
  let done = 0;
  while (done < parts.length) {
    const at = position + done;
    const page = yield* tryRead(mapping, Math.floor(at / PAGE_SIZE), mm, done);
    if (page === undefined) break;
    // A truncation may have moved the end of the file meanwhile: bytes behind it are not returned.
    const chunk = Math.min(PAGE_SIZE - (at % PAGE_SIZE), parts.length - done, inodeOf(mapping).size - at);
    if (chunk > 0 && page !== NULL_PAGE)
      memmap.contents.read(page, at % PAGE_SIZE, parts.subarray(done, done + chunk));
    if (page !== NULL_PAGE) {
      if (chunk > 0 && isNewUse(file, at)) markPageAccessed(mapping.vm, page);
      memmap.putPage(page);
    }
    if (chunk <= 0) break;
    done += chunk;
    file.prevPosition = at + chunk;
  }
  return parts.subarray(0, done);
}

/**
 * Writes bytes to the page cache. The file grows as needed. The bytes reach the disk with fsync(2) or writeback.
 *
 * @param position first byte
 * @param mm process that is charged for new pages; absent: the kernel itself
 * @returns bytes written; fewer than given if the file system is full or memory is short behind the first page
 * @throws KernelError EBADF if the file isn't open for writing; ENOSPC, ENOMEM or EIO if no byte was written; EPERM
 *   for a sealed file; EINVAL for a position that no file has
 * @see generic_perform_write()
 */
export function* fileWrite(
  file: OpenFile,
  position: number,
  bytes: Uint8Array,
  mm?: MmStruct,
): Sleeps<number> {
  if (!file.writable) throw new KernelError("EBADF", `${file.path} is open for reading: open it for writing`);
  const { mapping } = file;
  const host = inodeOf(mapping);
  checkRange(file, position, bytes.length);
  yield* host.rwsem.downWrite();
  try {
    let done = 0;
    while (done < bytes.length) {
      const at = position + done;
      const offset = at % PAGE_SIZE;
      const part = bytes.subarray(done, done + PAGE_SIZE - offset);
      if (!(yield* writePart(mapping, at, part, mm, done))) break;
      done += part.length;
      yield* balanceDirtyPages(mapping);
    }
    return done;
  } finally {
    host.rwsem.upWrite();
  }
}

/**
 * Whether a read at a byte marks its page as accessed. On a disk file a read that goes on where the last one ended does
 * not. shmem keeps no such position, and marks a page that is read from its first byte.
 *
 * @see filemap_read(), shmem_file_read_iter()
 */
function isNewUse({ mapping, prevPosition }: OpenFile, at: number): boolean {
  if (!mapping.canWriteback) return at % PAGE_SIZE === 0;
  return Math.floor(at / PAGE_SIZE) !== Math.floor((prevPosition - 1) / PAGE_SIZE);
}

/**
 * Gets the page for one step of a read.
 *
 * @returns the page; NULL_PAGE for a hole; undefined if the page can't be read and bytes were read before
 * @throws KernelError whatever readBegin() throws, if no byte was read before
 */
function* tryRead(
  mapping: AddressSpace,
  index: number,
  mm: MmStruct | undefined,
  done: number,
): Sleeps<Page | undefined> {
  try {
    return yield* mapping.ops.readBegin(mapping, index, mm);
  } catch (error) {
    if (done > 0 && error instanceof KernelError) return undefined;
    throw error;
  }
}

/**
 * Writes within one page.
 *
 * @returns false if the page can't be had and bytes were written before
 * @throws KernelError whatever writeBegin() throws, if no byte was written before
 */
function* writePart(
  mapping: AddressSpace,
  at: number,
  part: Uint8Array,
  mm: MmStruct | undefined,
  done: number,
): Sleeps<boolean> {
  const { vm } = mapping;
  const host = inodeOf(mapping);
  const offset = at % PAGE_SIZE;
  let page: Page;
  try {
    page = yield* mapping.ops.writeBegin(
      mapping,
      Math.floor(at / PAGE_SIZE),
      offset,
      offset + part.length,
      mm,
    );
  } catch (error) {
    if (done > 0 && error instanceof KernelError) return false;
    throw error;
  }
  writeContents(vm.memmap, page, offset, part);
  vm.memmap.set(page, PageFlag.uptodate);
  if (host.size < at + part.length) host.size = at + part.length;
  setPageDirty(vm, page);
  // A write to a disk file doesn't mark its page as accessed; one to shmem does. @see shmem_get_folio_gfp()
  if (!mapping.canWriteback) markPageAccessed(vm, page);
  unlockAndPut(vm, page);
  return true;
}

/** Writes to a page. Zeros written to a page without contents change nothing: such a page reads as zeros. */
function writeContents({ contents }: MemMap, page: Page, offset: number, part: Uint8Array): void {
  if (contents.bytes(page) === undefined && isZero(part)) return;
  contents.write(page, offset, part);
}

/** Whether all bytes are zero. Aligned bytes are compared as 32-bit words, which takes a quarter of the time. */
function isZero(part: Uint8Array): boolean {
  const { buffer, byteOffset, length } = part;
  const isWords = byteOffset % 4 === 0 && length % 4 === 0;
  const all = isWords ? new Int32Array(buffer, byteOffset, length / 4) : part;
  for (let at = 0; at < all.length; at++) if (all[at] !== 0) return false;
  return true;
}

function checkRange({ path }: OpenFile, position: number, length: number): void {
  if (Number.isSafeInteger(position) && position >= 0 && position + length <= MAX_BYTES) return;
  throw new KernelError(
    "EINVAL",
    `${length} bytes at ${position} of ${path}: a file has bytes 0 to ${MAX_BYTES}`,
  );
}
