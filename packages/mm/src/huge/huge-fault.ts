// Faults at addresses with a huge entry, or where one can be made. A fault that huge entries can't serve falls back
// to small pages. Kernel counterparts: create_huge_pmd(), wp_huge_pmd() and their caller __handle_mm_fault() in
// mm/memory.c; huge_pmd_set_accessed() and do_huge_pmd_numa_page() in mm/huge_memory.c. Not modelled: the huge zero
// page (a read maps the small one, which takes as little memory) and 1 GiB entries.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, Pte } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { faultAt } from "../fault/fault-context.ts";
import { FaultFlag, VmFault } from "../fault/vm-fault.ts";
import { isAccessible, VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { hugepageVmaCheck } from "./eligibility.ts";
import { doHugePmdAnonymousPage } from "./huge-anon.ts";
import { doHugePmdWpPage } from "./huge-wp.ts";
import { splitHugePmd } from "./split-pmd.ts";

/**
 * Handles a fault with a huge entry, if there is one or one can be made. The mmap lock is held for reading.
 *
 * @param address the byte that was accessed
 * @param flags FaultFlag bits
 * @returns VmFault bits; FALLBACK when small pages must serve the fault
 */
export function* hugeFault(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault> {
  const { pageTable } = vma.mm;
  const pmd = pageTable.findPmd(address);
  const has = pmd === NO_ENTRY ? 0 : pageTable.flags(pmd);
  if ((has & Pte.table) !== 0) return VmFault.FALLBACK;
  if (has === 0) return yield* createHugePmd(vma, address, flags);
  if ((has & Pte.protnone) !== 0 && isAccessible(vma.flags)) return yield* doHugePmdNumaPage(vma, pmd);
  const writes = (flags & FaultFlag.WRITE) !== 0;
  if ((flags & (FaultFlag.WRITE | FaultFlag.UNSHARE)) !== 0 && (has & Pte.write) === 0)
    return yield* wpHugePmd(vma, address, pmd, flags);
  pageTable.setFlags(pmd, has | Pte.accessed | (writes ? Pte.dirty | Pte.softDirty : 0));
  return 0;
}

/** @see create_huge_pmd() */
function* createHugePmd(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault> {
  if (vma.ops?.hugeFault) return yield* driverHugeFault(vma, address, flags);
  return hugepageVmaCheck(vma, "fault")
    ? yield* doHugePmdAnonymousPage(vma, address, flags)
    : VmFault.FALLBACK;
}

/** @see wp_huge_pmd() */
function* wpHugePmd(vma: Vma, address: VirtAddr, pmd: number, flags: number): Sleeps<VmFault> {
  if (vma.anonymous) return yield* doHugePmdWpPage(vma, address, pmd, flags);
  if ((vma.flags & (VmFlag.SHARED | VmFlag.MAYSHARE)) !== 0) {
    const result = yield* driverHugeFault(vma, address, flags);
    if ((result & VmFault.FALLBACK) === 0) return result;
  }
  yield* splitHugePmd(vma, address);
  return VmFault.FALLBACK;
}

/** Calls the driver's huge_fault(). The fault's entry is the PMD entry. */
function* driverHugeFault(vma: Vma, realAddress: VirtAddr, flags: number): Sleeps<VmFault> {
  const { pageTable } = vma.mm;
  const entry = pageTable.ensurePmd(realAddress);
  if (entry === NO_ENTRY || !vma.ops?.hugeFault) return VmFault.FALLBACK;
  return yield* vma.ops.hugeFault(faultAt(vma, realAddress, flags, entry));
}

/** A NUMA hinting fault on a huge page. The page is split and its parts migrate. @see do_huge_pmd_numa_page() */
function* doHugePmdNumaPage(vma: Vma, pmd: number): Sleeps<VmFault> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const { allocator } = vm.memory;
  const head = entryPage(pageTable.value(pmd));
  const hinted = pageTable.flags(pmd);
  allocator.countEvent(VmEvent.numa_hint_faults, 1);
  if (vm.memmap.nodeOf(head) === mm.node) allocator.countEvent(VmEvent.numa_hint_faults_local, 1);
  const node = vm.promotion.misplaced(vma, head);
  if (node !== undefined && !vm.memmap.test(head, PageFlag.reserved)) {
    vm.memmap.getPage(head);
    if (yield* vm.promotion.migrateMisplacedPage(vma, head, node)) return 0;
  }
  if (pageTable.value(pmd) === head && pageTable.flags(pmd) === hinted)
    pageTable.setFlags(pmd, (hinted & ~Pte.protnone) | Pte.accessed);
  return 0;
}
