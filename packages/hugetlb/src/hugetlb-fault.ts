// Faults on mappings of huge pages. A shared mapping gets the page of its file, a private one a page of its own. There
// is no fallback to small pages: if the pool has no page, the fault is SIGBUS. Kernel counterpart: hugetlb_fault() and
// hugetlb_no_page() in mm/hugetlb.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { FaultFlag, type MmStruct, type Vma, VmFault, VmFlag } from "@hetmem/mm";
import { hugeAddress } from "@hetmem/mm/huge";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { NO_ENTRY, PMD_SIZE, Pte, TABLE_TURNS_MAX } from "@hetmem/page-table";
import { GFP_KERNEL } from "@hetmem/zone";
import { hugetlbInode } from "./hugetlb-inode.ts";
import { clearHugePage, mapHugetlbPage, ownHugetlbPage } from "./hugetlb-page.ts";
import { hugetlbWp } from "./hugetlb-wp.ts";
import { allocHugetlbPage, hugeIndex, keepPage, privateHugetlb } from "./reservations.ts";

/**
 * Handles a fault on a mapping of huge pages. The mmap lock is held for reading.
 *
 * @param realAddress address of the access, in bytes
 * @param flags FaultFlag bits
 * @returns SIGBUS if the pool has no page, OOM if there is no memory for a page table, SIGSEGV for a write that the
 *   mapping doesn't allow, else 0
 * @see hugetlb_fault()
 */
export function* hugetlbFault(vma: Vma, realAddress: VirtAddr, flags: number): Sleeps<VmFault> {
  const { pageTable } = vma.mm;
  const address = hugeAddress(realAddress);
  const pmd = yield* ensureHugetlbPmd(vma.mm, address);
  if (pmd === NO_ENTRY) return VmFault.OOM;
  const { faultMutex } = hugetlbInode(vma);
  if (!faultMutex.tryLock()) yield* faultMutex.lock();
  try {
    const has = pageTable.flags(pmd);
    if (has === 0) return yield* hugetlbNoPage(vma, address, pmd, flags);
    const writes = (flags & FaultFlag.WRITE) !== 0;
    if ((flags & (FaultFlag.WRITE | FaultFlag.UNSHARE)) !== 0 && (has & Pte.write) === 0)
      return yield* hugetlbWp(vma, address, pmd, flags);
    pageTable.setFlags(pmd, has | Pte.accessed | (writes ? Pte.dirty | Pte.softDirty : 0));
    return 0;
  } finally {
    faultMutex.unlock();
  }
}

/**
 * Finds the directory entry for 2 MiB, and makes the tables above it.
 *
 * @returns the number of the entry, or NO_ENTRY if there is no memory for a table
 * @see huge_pte_alloc()
 */
export function* ensureHugetlbPmd(mm: MmStruct, address: VirtAddr): Sleeps<number> {
  const { pageTable, vm } = mm;
  for (let turn = 0; turn < TABLE_TURNS_MAX; turn++) {
    const pmd = pageTable.ensurePmd(address);
    if (pmd !== NO_ENTRY) {
      // An earlier mapping may have left an empty table.
      if (pageTable.tableUnder(pmd) !== NO_ENTRY) pageTable.depopulate(pmd);
      return pmd;
    }
    // Tables are allocated without reclaim. This allocation reclaims, and its page is freed for the table.
    const page = yield* vm.pages.alloc(GFP_KERNEL, 0, mm.node, mm);
    if (page === NULL_PAGE) return NO_ENTRY;
    vm.memmap.putPage(page);
  }
  return NO_ENTRY;
}

/** Handles a fault on an empty entry. @see hugetlb_no_page() */
function* hugetlbNoPage(vma: Vma, address: VirtAddr, pmd: number, flags: number): Sleeps<VmFault> {
  const { pageTable, vm } = vma.mm;
  if (privateHugetlb(vma)?.lostPage === true) {
    const [process] = vm.processes.of(vma.mm);
    vm.kernel.log.printk(4, `PID ${process?.pid ?? 0} killed due to inadequate hugepage pool`);
    return VmFault.SIGBUS;
  }
  const shared = (vma.flags & VmFlag.MAYSHARE) !== 0;
  const page = shared ? yield* sharedPage(vma, address) : yield* allocHugetlbPage(vma, address);
  if (page === NULL_PAGE) return VmFault.SIGBUS;
  if (pageTable.flags(pmd) !== 0) {
    vm.memmap.putPage(page);
    return 0;
  }
  if (!shared) {
    clearHugePage(vm, page);
    vm.anonVmas.prepare(vma);
    ownHugetlbPage(vm, page, vma, address);
    keepPage(vma, address, page);
  }
  mapHugetlbPage(vma, pmd, page, 0);
  return shared || (flags & FaultFlag.WRITE) === 0 ? 0 : yield* hugetlbWp(vma, address, pmd, flags);
}

/**
 * Finds the page of the file, or adds a new one, and takes a reference.
 *
 * @returns NULL_PAGE if the pool has no page, or behind the end of the file
 */
function* sharedPage(vma: Vma, address: VirtAddr): Sleeps<Page> {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const inode = hugetlbInode(vma);
  const index = hugeIndex(vma, address);
  const there = inode.hugePages.get(index);
  if (there !== undefined) {
    memmap.getPage(there);
    return there;
  }
  if (index >= inode.size / PMD_SIZE) return NULL_PAGE as Page;
  const page = yield* allocHugetlbPage(vma, address);
  if (page === NULL_PAGE) return page;
  clearHugePage(vm, page);
  memmap.setMapping(page, inode.mapping.id << 1);
  memmap.setIndex(page, vma.pgoffOf(address) | 0);
  memmap.set(page, PageFlag.uptodate | PageFlag.dirty);
  inode.hugePages.set(index, page);
  keepPage(vma, address, page);
  memmap.getPage(page);
  return page;
}
