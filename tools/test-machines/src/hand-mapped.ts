// Processes put together without system calls: mappings and pages exactly as a case needs them, also combinations
// that a system call would refuse.
import { nodeId, type Page, virtAddr } from "@hetmem/kernel";
import {
  FaultFlag,
  type MmStruct,
  Rss,
  unlockPage,
  type Vm,
  Vma,
  VmFlag,
  type VmOperations,
} from "@hetmem/mm";
import { fillAnonymous, GFP_USER_PAGE } from "@hetmem/mm/fault";
import type { FileObject } from "@hetmem/mm/file";
import { pageAddFileRmap, pageDupRmap } from "@hetmem/mm/rmap";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { addToPageCache, Inode } from "@hetmem/page-cache";
import { NO_ENTRY, Pte } from "@hetmem/page-table";

export const RW: number = VmFlag.READ | VmFlag.WRITE | VmFlag.MAYREAD | VmFlag.MAYWRITE | VmFlag.MAYEXEC;

export interface MappingOptions {
  readonly flags?: number;
  readonly file?: FileObject;
  readonly pgoff?: number;
  readonly ops?: VmOperations;
}

/** Makes a mapping of [start, end): by default anonymous and writable. */
export function mapAt(mm: MmStruct, start: number, end: number, options: MappingOptions = {}): Vma {
  const { flags = RW, file, pgoff = file ? 0 : start / 4096 } = options;
  const vma = new Vma(mm, virtAddr(start), virtAddr(end), flags, pgoff);
  vma.file = file;
  vma.ops = options.ops ?? file?.vmOps;
  mm.vmas.insert(vma);
  return vma;
}

/** Accesses an address of an anonymous mapping. @returns the entry */
export function touch(vma: Vma, address: number, access: "read" | "write" = "write"): number {
  const entry = entryAt(vma.mm, address);
  const flags = access === "write" ? FaultFlag.WRITE : 0;
  if (fillAnonymous(vma.mm.vm, vma, virtAddr(address), entry, flags) !== 0) throw new Error("no memory");
  return entry;
}

/** The entry of an address. Page tables are made as necessary. */
export function entryAt(mm: MmStruct, address: number): number {
  const entry = mm.pageTable.ensure(virtAddr(address));
  if (entry === NO_ENTRY) throw new Error("no memory for a page table");
  return entry;
}

/** A file in memory, as on a tmpfs. */
export function fileAt(vm: Vm, path: string, inode: number, device = { major: 0, minor: 2 }): FileObject {
  const { mapping } = new Inode(vm, inode, device, {
    canWriteback: false,
    *readBegin() {
      return NULL_PAGE as Page;
    },
    *writeBegin() {
      return NULL_PAGE as Page;
    },
    *writepage() {
      return true;
    },
  });
  return { path, inode, device, writable: true, mapping, vmOps: {} };
}

export interface FilePageOptions {
  readonly node?: number;
  /** PageFlag bits in addition to those of every file page. */
  readonly state?: number;
  /** Number of further entries that map the page. */
  readonly others?: number;
  /** Pte bits in addition to present. */
  readonly entry?: number;
}

/** Maps a new page of a file, and adds it to the page cache. @returns the page */
export function touchFile(vma: Vma, address: number, options: FilePageOptions = {}): Page {
  const { mm, file } = vma;
  const { vm } = mm;
  const { memmap } = vm;
  const page = vm.pages.tryAlloc(GFP_USER_PAGE, 0, nodeId(options.node ?? mm.node), mm);
  if (page === NULL_PAGE || !file?.mapping) throw new Error("no page, or no file to put it in");
  addToPageCache(file.mapping, page, vma.pgoffOf(virtAddr(address)));
  unlockPage(memmap, page);
  memmap.set(page, PageFlag.uptodate | (options.state ?? 0));
  pageAddFileRmap(vm, page);
  for (let i = 0; i < (options.others ?? 0); i++) {
    pageDupRmap(vm, page);
    memmap.getPage(page);
  }
  const kind = memmap.test(page, PageFlag.swapbacked) ? Rss.shmem : Rss.file;
  mm.rss[kind] = (mm.rss[kind] ?? 0) + 1;
  mm.pageTable.set(entryAt(mm, address), page, Pte.present | (options.entry ?? Pte.accessed));
  return page;
}
