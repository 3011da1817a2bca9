// Files on a disk, as ext4 and its like have them: a page is read when it is first used, and written back after it was
// dirtied. The disk never fills up; delayed allocation of blocks, and its failure, are not modelled. Kernel
// counterparts: fs/buffer.c (block_write_begin(), block_write_full_page()).
import { condResched, KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { type MmStruct, unlockPage, type Vm } from "@hetmem/mm";
import {
  type AddressSpace,
  type AddressSpaceOperations,
  type DeviceId,
  endWriteback,
  startWriteback,
} from "@hetmem/mm/file";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { BackingStore } from "./backing-store.ts";
import { lockPageOf } from "./filemap.ts";
import { Inode, inodeOf } from "./inode.ts";
import { grabPage, lockUptodate, readAhead, READAHEAD_PAGES } from "./read-page.ts";
import { balanceDirtyPages } from "./writeback.ts";

/** Device number of /dev/sda1. */
const ROOT_DEVICE: DeviceId = { major: 8, minor: 1 };

/**
 * Makes a file whose contents are on the disk, with none of its pages in memory.
 *
 * @param number inode number
 * @param bytes contents of the file
 */
export function createDiskFile(vm: Vm, number: number, bytes: Uint8Array): Inode {
  const store = new BackingStore(vm);
  store.fill(0, bytes);
  const inode = new Inode(vm, number, ROOT_DEVICE, diskFileOps, store);
  inode.size = bytes.length;
  return inode;
}

const diskFileOps: AddressSpaceOperations = {
  canWriteback: true,
  readBegin,
  writeBegin,
  writepage,
  balanceDirtyPages,
};

function* readBegin(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page> {
  const { memmap } = mapping.vm;
  // Ends: a page is "gone" only after a truncation, which moves the end of the file before it removes the page.
  for (;;) {
    if (mapping.pages.load(index) <= 0) yield* readAhead(mapping, index, READAHEAD_PAGES, mm);
    const page = yield* grabPage(mapping, index, mm);
    if (page === NULL_PAGE) throw noMemory(mapping);
    if (memmap.test(page, PageFlag.uptodate)) return page;
    const result = yield* lockUptodate(mapping, page);
    if (result === "unreadable") throw unreadable(mapping, index);
    if (result === "gone") continue;
    unlockPage(memmap, page);
    return page;
  }
}

/**
 * Gets the locked page to write to. A page that is overwritten as a whole isn't read from the disk first.
 *
 * @see block_write_begin()
 */
function* writeBegin(
  mapping: AddressSpace,
  index: number,
  from: number,
  to: number,
  mm: MmStruct | undefined,
): Sleeps<Page> {
  const whole = from === 0 && to === PAGE_SIZE;
  // Ends: as above, a page is "gone" only after a truncation.
  for (;;) {
    const page = yield* grabPage(mapping, index, mm);
    if (page === NULL_PAGE) throw noMemory(mapping);
    if (whole) {
      if (yield* lockPageOf(mapping, page)) return page;
      continue;
    }
    const result = yield* lockUptodate(mapping, page);
    if (result === "unreadable") throw unreadable(mapping, index);
    if (result === "locked") return page;
  }
}

/**
 * Writes a locked page to its block. Bytes behind the end of the file, which only a mapping can write, are zeroed
 * first.
 *
 * @see block_write_full_page()
 */
function* writepage(mapping: AddressSpace, page: Page): Sleeps<boolean> {
  const { vm } = mapping;
  const host = inodeOf(mapping);
  const { memmap } = vm;
  const index = memmap.index(page);
  if (index >= host.pages) {
    unlockPage(memmap, page);
    return true;
  }
  memmap.contents.bytes(page)?.fill(0, host.size - index * PAGE_SIZE);
  startWriteback(vm, page);
  unlockPage(memmap, page);
  yield condResched;
  if (host.store?.writePage(index, page) === false) mapping.writeError = true;
  endWriteback(vm, page);
  return true;
}

function noMemory(mapping: AddressSpace): KernelError {
  return new KernelError("ENOMEM", `no memory for a page of file ${mapping.host.number}`);
}

function unreadable({ host }: AddressSpace, index: number): KernelError {
  return new KernelError("EIO", `block ${index} of file ${host.number} can't be read from the disk`);
}
