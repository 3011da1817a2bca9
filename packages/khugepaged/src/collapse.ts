// Collapse of 512 small entries to one that maps 2 MiB. A new huge page gets the contents of the small pages, which are
// freed. In the kernel the small pages are locked and isolated while they are copied; here the copy is one step in
// which no other task runs. Kernel counterpart: collapse_huge_page() in mm/khugepaged.c.
import type { NodeId, Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { type MmStruct, Rss, VM_FAULT_ERROR, type Vma } from "@hetmem/mm";
import { faultAt, handleNonPresent } from "@hetmem/mm/fault";
import {
  HPAGE_PMD_ORDER,
  hugepageVmaCheck,
  mapNewHuge,
  prepTranshugePage,
  transhugeVmaSuitable,
} from "@hetmem/mm/huge";
import { pageRemoveRmap } from "@hetmem/mm/rmap";
import { munlockVmaPage } from "@hetmem/mm/vma";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE } from "@hetmem/page";
import { ENTRIES, entryPage, isNonPresent, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { Gfp, GFP_TRANSHUGE, VmEvent } from "@hetmem/zone";
import { type CollapseAsker, PmdScan, type ScanResult } from "./pmd-scan.ts";

/** One attempt to collapse a range. */
interface Target {
  readonly mm: MmStruct;
  /** First address of the range of 2 MiB. */
  readonly address: VirtAddr;
  readonly asker: CollapseAsker;
}

/**
 * The mapping of the range and its entry in the page middle directory, below which there is a table; or the reason why
 * it can't be collapsed.
 */
type FoundPmd = { readonly vma: Vma; readonly pmd: number } | ScanResult;

/**
 * Collapses 2 MiB of a process to a huge page, if the range qualifies. The mmap lock must not be held.
 *
 * @param address first address of the range, a multiple of 2 MiB
 * @param asker khugepaged, which has limits, or madvise(2), which has none
 * @returns "succeeded", or the reason why the range stays as it is
 * @see hpage_collapse_scan_pmd(), collapse_huge_page()
 */
export function* collapseHugePage(mm: MmStruct, address: VirtAddr, asker: CollapseAsker): Sleeps<ScanResult> {
  const target: Target = { mm, address, asker };
  yield* mm.mmapLock.downRead();
  const scan = scanNow(target);
  mm.mmapLock.upRead();
  if (!(scan instanceof PmdScan)) return scan;
  // The mmap lock is not held during the allocation, which may sleep.
  const page = yield* allocHugePage(mm, scan.nodes);
  if (typeof page === "string") return page;
  const result = yield* collapseInto(target, page, scan.unmapped);
  if (result !== "succeeded") mm.vm.memmap.putPage(page);
  return result;
}

/** Scans the range once. @returns the scan if the range qualifies, else the reason */
function scanNow(target: Target): PmdScan | ScanResult {
  const found = revalidate(target);
  if (typeof found === "string") return found;
  const scan = new PmdScan(found.vma, target.asker, "counted");
  const result = scan.run(found.vma.mm.pageTable.tableUnder(found.pmd));
  return result === "succeeded" ? scan : result;
}

/** Finds the mapping and the table of the range. @see hugepage_vma_revalidate(), find_pmd_or_thp_or_none() */
function revalidate({ mm, address, asker }: Target): FoundPmd {
  if (mm.dead) return "no_process_for_page";
  const vma = mm.vmas.findFrom(address);
  if (!vma) return "vma_null";
  if (!transhugeVmaSuitable(vma, address)) return "not_suitable_address_range";
  if (!hugepageVmaCheck(vma, asker)) return "vma_check_failed";
  const pmd = mm.pageTable.findPmd(address);
  if (pmd === NO_ENTRY) return "pmd_null";
  const flags = mm.pageTable.flags(pmd);
  if (flags === 0) return "pmd_none";
  return (flags & Pte.table) === 0 ? "page_pmd_mapped" : { vma, pmd };
}

/** Allocates a huge page on one of some nodes, and charges it. @see alloc_charge_hpage() */
function* allocHugePage(mm: MmStruct, nodes: readonly NodeId[]): Sleeps<Page | ScanResult> {
  const { allocator } = mm.vm.memory;
  const page = yield* allocOn(mm, nodes);
  if (page === NULL_PAGE) {
    allocator.countEvent(VmEvent.thp_collapse_alloc_failed, 1);
    return "alloc_huge_page_failed";
  }
  allocator.countEvent(VmEvent.thp_collapse_alloc, 1);
  prepTranshugePage(mm.vm.memmap, page);
  if ((yield* mm.vm.pages.charge(mm, page, HPAGE_PMD_ORDER, GFP_TRANSHUGE)) === NULL_PAGE)
    return "ccgroup_charge_failed";
  mm.vm.charging.counts?.pageEvent(page, VmEvent.thp_collapse_alloc, 1);
  return page;
}

/** Tries the nodes without reclaim first, then with it. */
function* allocOn({ vm, node: home }: MmStruct, nodes: readonly NodeId[]): Sleeps<Page> {
  for (const node of nodes) {
    const page = vm.pages.tryAlloc(GFP_TRANSHUGE | Gfp.THISNODE, HPAGE_PMD_ORDER, node, undefined);
    if (page !== NULL_PAGE) return page;
  }
  return yield* vm.pages.alloc(GFP_TRANSHUGE, HPAGE_PMD_ORDER, nodes[0] ?? home, undefined, nodes);
}

/**
 * Swaps in the missing pages, and collapses the range. The mapping is looked up again, since the mmap lock was not
 * held. The huge page stays the caller's unless the result is "succeeded".
 */
function* collapseInto(target: Target, page: Page, unmapped: number): Sleeps<ScanResult> {
  const { mm } = target;
  if (unmapped > 0) {
    const result = yield* swapIn(target);
    if (result !== "succeeded") return result;
  }
  yield* mm.mmapLock.downWrite();
  const found = revalidate(target);
  const result = typeof found === "string" ? found : yield* replace(target, found.vma, page);
  mm.mmapLock.upWrite();
  return result;
}

/** Swaps in all pages of the range. @see __collapse_huge_page_swapin() */
function* swapIn(target: Target): Sleeps<ScanResult> {
  const { mm, address } = target;
  yield* mm.mmapLock.downRead();
  const found = revalidate(target);
  let result: ScanResult = typeof found === "string" ? found : "succeeded";
  if (typeof found !== "string") {
    for (let i = 0; i < ENTRIES && result === "succeeded"; i++)
      if (!(yield* swapInOne(found.vma, (address + i * 4096) as VirtAddr))) result = "failed";
  }
  mm.mmapLock.upRead();
  return result;
}

/**
 * Makes the page of one entry present, whether it is in swap, under migration or on a device.
 *
 * @returns false if the fault fails
 */
function* swapInOne(vma: Vma, address: VirtAddr): Sleeps<boolean> {
  const { pageTable } = vma.mm;
  const entry = pageTable.find(address);
  const origFlags = entry === NO_ENTRY ? 0 : pageTable.flags(entry);
  if (!isNonPresent(origFlags)) return true;
  const result = yield* handleNonPresent(faultAt(vma, address, 0, entry));
  return (result & VM_FAULT_ERROR) === 0;
}

/**
 * Replaces the small pages within an invalidation. The mmap lock is held for writing; the anon_vma lock keeps out
 * reverse mapping.
 */
function* replace(target: Target, vma: Vma, page: Page): Sleeps<ScanResult> {
  const { mm, address } = target;
  const { anonVma } = vma;
  if (!anonVma) return "page_not_anon";
  const end = (address + PMD_SIZE) as VirtAddr;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.Clear };
  yield* anonVma.rwsem.downWrite();
  yield* invalidateRangeStart(range);
  const result = replaceNow(target, page);
  yield* invalidateRangeEnd(range);
  anonVma.rwsem.upWrite();
  return result;
}

/** Scans the range again and replaces the small pages, in one atomic step. */
function replaceNow(target: Target, page: Page): ScanResult {
  const found = revalidate(target);
  if (typeof found === "string") return found;
  const { vma, pmd } = found;
  const { pageTable, rss } = vma.mm;
  const first = pageTable.tableUnder(pmd);
  const scan = new PmdScan(vma, target.asker, "refused");
  const result = scan.run(first);
  if (result !== "succeeded") return result;
  for (let i = 0; i < ENTRIES; i++) copyAndClear(vma, first + i, (page + i) as Page);
  rss[Rss.anon] = (rss[Rss.anon] as number) + scan.none;
  pageTable.depositTable(pmd);
  mapNewHuge(vma, target.address, pmd, page);
  return "succeeded";
}

/**
 * Copies the page of an entry to the huge page, clears the entry, and frees the small page.
 *
 * @see __collapse_huge_page_copy()
 */
function copyAndClear(vma: Vma, entry: number, into: Page): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const flags = pageTable.flags(entry);
  if (flags === 0) return;
  const page = entryPage(pageTable.value(entry));
  pageTable.clear(entry);
  if ((flags & Pte.special) !== 0) return;
  memmap.contents.copy(into, page);
  munlockVmaPage(page, vma);
  pageRemoveRmap(vm, page);
  vm.pages.put(memmap.compoundHead(page));
}
