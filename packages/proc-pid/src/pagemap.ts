// /proc/PID/pagemap: 64 bits for each page of an address space. They tell whether the page is present or in swap, and a
// privileged reader also gets its frame or slot. Kernel counterpart: pagemap_read() in fs/proc/task_mmu.c,
// Documentation/admin-guide/mm/pagemap.rst.
import { condResched, type Page, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { isVmHugetlbPage, type MmStruct, snapshotRange, type Vma, VmFlag } from "@hetmem/mm";
import { pageAnon, pageMapcount } from "@hetmem/mm/rmap";
import {
  EntryKind,
  entryKind,
  entryPage,
  holdsPage,
  isMigration,
  PMD_SIZE,
  Pte,
  specialPfn,
  swapDevice,
  TASK_SIZE,
} from "@hetmem/page-table";

/**
 * Bits of an entry. Bits 0 to 54 are the frame of a present page; or a swap type in bits 0 to 4, and a swap offset from
 * bit 5 on.
 */
export const PageMapBit = {
  softDirty: 1n << 55n,
  /** Only this entry maps the page. */
  exclusive: 1n << 56n,
  /** The page belongs to a file or to shared memory. */
  file: 1n << 61n,
  swap: 1n << 62n,
  present: 1n << 63n,
} as const;

/** Variants of the file. */
export interface PagemapOptions {
  /** Whether the reader gets frames and slots: CAP_SYS_ADMIN. */
  readonly privileged: boolean;
  /** Whether the kernel tracks soft-dirty pages. @see CONFIG_MEM_SOFT_DIRTY */
  readonly softDirty: boolean;
}

/** The same bits in the upper half of an entry, so that no BigInt is made for each page. */
const SOFT_DIRTY = 1 << 23;
const EXCLUSIVE = 1 << 24;
const FILE = 1 << 29;
const SWAP = 1 << 30;
const PRESENT = 1 << 31;

const ENTRY_BYTES = 8;
const SWAP_OFFSET_SHIFT = 5;
/**
 * Swap types of entries that aren't in swap. The kernel numbers them from MAX_SWAPFILES on.
 *
 * @see MAX_SWAPFILES in include/linux/swap.h
 */
const SWAP_TYPE: Readonly<Partial<Record<EntryKind, number>>> = {
  [EntryKind.hwpoison]: 22,
  [EntryKind.migrationRead]: 23,
  [EntryKind.migrationReadExclusive]: 24,
  [EntryKind.migrationWrite]: 25,
  [EntryKind.devicePrivateWrite]: 26,
  [EntryKind.devicePrivateRead]: 27,
  [EntryKind.deviceExclusiveWrite]: 28,
  [EntryKind.deviceExclusiveRead]: 29,
  [EntryKind.swapinError]: 31,
};

/**
 * Reads the entries of consecutive pages, mapped or not. Atomic; the mmap lock need not be held.
 *
 * @param start address of a page
 * @param count pages
 * @returns one entry for each page; those above TASK_SIZE are 0
 */
export function pagemap(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: PagemapOptions = { privileged: true, softDirty: true },
): BigUint64Array {
  const entries = new BigUint64Array(count);
  const end = Math.min(start + count * 4096, TASK_SIZE) as VirtAddr;
  if (!mm.dead && start < end) fill(new EntryWriter(entries, start, options), mm, start, end);
  return entries;
}

/**
 * Reads a part of the file: 8 bytes for each page, little-endian. The file ends at TASK_SIZE.
 *
 * @param offset first byte
 * @param length bytes
 * @see pagemap_read()
 */
export function* readPagemap(
  mm: MmStruct,
  offset: number,
  length: number,
  options: PagemapOptions,
): Sleeps<Uint8Array> {
  const first = Math.floor(offset / ENTRY_BYTES);
  const pages = Math.min(Math.ceil((offset + length) / ENTRY_BYTES), TASK_SIZE / 4096) - first;
  if (pages <= 0 || mm.dead) return new Uint8Array(0);
  const entries = new BigUint64Array(pages);
  for (let at = 0; at < pages && !mm.dead;) {
    const start = virtAddr((first + at) * 4096);
    const count = Math.min(pages - at, (PMD_SIZE - (start % PMD_SIZE)) / 4096);
    yield* mm.mmapLock.downRead();
    entries.set(pagemap(mm, start, count, options), at);
    mm.mmapLock.upRead();
    at += count;
    yield condResched;
  }
  const skip = offset - first * ENTRY_BYTES;
  return new Uint8Array(entries.buffer).subarray(skip, skip + length);
}

/** Writes the entries of a range. */
function fill(writer: EntryWriter, mm: MmStruct, start: VirtAddr, end: VirtAddr): void {
  const { pageTable } = mm;
  snapshotRange(mm, start, end, {
    pmdEntry(pmd, address, next, { vma }) {
      if (vma && (pageTable.flags(pmd) & Pte.table) === 0) writer.huge(vma, pmd, address, next);
      return 0;
    },
    pteRange(first, address, next, { vma }) {
      if (vma) writer.range(vma, first, address, next);
      return 0;
    },
    pteHole(address, next, { vma }) {
      if (vma && (vma.flags & VmFlag.SOFTDIRTY) !== 0) writer.hole(address, next);
      return 0;
    },
    // Frames without counted pages are shown, too.
    testWalk: () => 0,
  });
}

/** Writes entries by address, each as two 32-bit halves. */
class EntryWriter {
  private readonly halves: Uint32Array;
  private readonly start: VirtAddr;
  private readonly privileged: boolean;
  private readonly softDirty: number;

  constructor(entries: BigUint64Array, start: VirtAddr, { privileged, softDirty }: PagemapOptions) {
    this.halves = new Uint32Array(entries.buffer);
    this.start = start;
    this.privileged = privileged;
    this.softDirty = softDirty ? SOFT_DIRTY : 0;
  }

  /** Writes the entries of an unmapped range of a mapping. */
  hole(address: VirtAddr, next: VirtAddr): void {
    for (let at = address; at < next; at = (at + 4096) as VirtAddr) this.put(at, 0, this.softDirty);
  }

  /** Writes the entries of pages of 4 KiB. @see pte_to_pagemap_entry() */
  range(vma: Vma, first: number, address: VirtAddr, next: VirtAddr): void {
    const { pageTable } = vma.mm;
    for (let entry = first, at = address; at < next; entry++, at = (at + 4096) as VirtAddr)
      this.one(vma, at, pageTable.value(entry), pageTable.flags(entry), 0);
  }

  /** Writes the entries of a part of a page of 2 MiB. @see pagemap_pmd_range() */
  huge(vma: Vma, pmd: number, address: VirtAddr, next: VirtAddr): void {
    const { pageTable } = vma.mm;
    const value = pageTable.value(pmd);
    // Writes to huge pages of the pool aren't tracked.
    const flags = pageTable.flags(pmd) & (isVmHugetlbPage(vma) ? ~Pte.softDirty : ~0);
    for (let at = address; at < next; at = (at + 4096) as VirtAddr)
      this.one(vma, at, value, flags, (at % PMD_SIZE) / 4096);
  }

  /** @param behind offset in pages from the page of the entry */
  private one(vma: Vma, address: VirtAddr, value: number, flags: number, behind: number): void {
    const { vm } = vma.mm;
    let bits = ((flags | vmaSoftDirty(vma)) & Pte.softDirty) !== 0 ? this.softDirty : 0;
    if (flags === 0) {
      this.put(address, 0, bits);
      return;
    }
    bits |= (flags & Pte.present) !== 0 ? PRESENT : SWAP;
    const counted = (flags & (Pte.present | Pte.special)) === Pte.present || holdsPage(flags);
    if (counted) {
      const page = (entryPage(value) + behind) as Page;
      if (!pageAnon(vm, page)) bits |= FILE;
      if (!isMigration(flags) && pageMapcount(vm.memmap, page) === 1) bits |= EXCLUSIVE;
    }
    this.put(address, this.privileged ? frameOf(vma, value, flags, behind) : 0, bits);
  }

  private put(address: VirtAddr, frame: number, bits: number): void {
    const at = ((address - this.start) / 4096) * 2;
    this.halves[at] = frame % 2 ** 32;
    this.halves[at + 1] = Math.floor(frame / 2 ** 32) | bits;
  }
}

/** The soft-dirty bit of all pages of a new mapping. */
function vmaSoftDirty({ flags }: Vma): number {
  return (flags & VmFlag.SOFTDIRTY) !== 0 ? Pte.softDirty : 0;
}

/** The lower 55 bits: a frame, or a swap type and offset. */
function frameOf({ mm: { vm } }: Vma, value: number, flags: number, behind: number): number {
  if ((flags & Pte.special) !== 0) return specialPfn(value, flags) + behind;
  if ((flags & Pte.present) !== 0) return vm.memmap.pageToPfn(entryPage(value)) + behind;
  const kind = entryKind(flags);
  const type = kind === EntryKind.swap ? swapDevice(flags) : (SWAP_TYPE[kind] ?? 0);
  const offset = holdsPage(flags) ? vm.memmap.pageToPfn(entryPage(value)) + behind : value;
  return type + offset * 2 ** SWAP_OFFSET_SHIFT;
}
