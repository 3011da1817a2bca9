// The dispatch of a fault, with the mmap lock held for reading. Mappings of the hugetlb pool go to the pool. Then a
// huge entry is tried, and then the page table entry is found or made, and its contents choose the handler. Kernel
// counterparts: __handle_mm_fault() and handle_pte_fault() in mm/memory.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { isNonPresent, NO_ENTRY, Pte, TABLE_TURNS_MAX } from "@hetmem/page-table";
import { GFP_KERNEL, VmEvent } from "@hetmem/zone";
import { hugeFault } from "../huge/huge-fault.ts";
import { hugePmd } from "../huge/split-pmd.ts";
import type { MmStruct } from "../mm-struct.ts";
import { countMmEvent } from "../vm-events.ts";
import { isAccessible, VmFlag } from "../vma/vm-flags.ts";
import { type FaultContext, isVmHugetlbPage, type Vma } from "../vma/vma.ts";
import { allocAnonymous, fillAnonymous, mapNewAnonymous } from "./anon.ts";
import { entrySame, faultAt } from "./fault-context.ts";
import { doFault } from "./file.ts";
import { handleNonPresent } from "./non-present.ts";
import { doNumaPage } from "./numa-hint.ts";
import { FaultFlag, VmFault } from "./vm-fault.ts";
import { doWpPage } from "./write-protect.ts";

/**
 * Makes an address of a mapping accessible. The mmap lock is held for reading on entry and on return.
 *
 * @param realAddress the byte that was accessed
 * @param flags FaultFlag bits
 * @returns VmFault bits; 0 when the access can be repeated
 * @see handle_mm_fault() in mm/memory.c
 */
export function* handleMmFault(vma: Vma, realAddress: VirtAddr, flags: number): Sleeps<VmFault> {
  const { mm } = vma;
  const { pageTable } = mm;
  const address = (realAddress - (realAddress % 4096)) as VirtAddr;
  countMmEvent(mm, VmEvent.pgfault);
  if (isVmHugetlbPage(vma)) return yield* mm.vm.hugetlb.fault(vma, realAddress, flags);
  const huge = yield* hugeFault(vma, realAddress, flags);
  if ((huge & VmFault.FALLBACK) === 0) return huge;
  const entry = yield* ensureEntry(mm, address);
  // Another task may have mapped a huge page meanwhile.
  if (entry === NO_ENTRY) return hugePmd(pageTable, address) === NO_ENTRY ? VmFault.OOM : 0;
  return yield* handlePteFault(faultAt(vma, realAddress, flags, entry));
}

/**
 * The entry of an address. A missing page table is allocated, with reclaim.
 *
 * @returns NO_ENTRY when no memory could be reclaimed for the table, or a huge page is mapped
 * @see pte_alloc()
 */
export function* ensureEntry(mm: MmStruct, address: VirtAddr): Sleeps<number> {
  const { pageTable, vm } = mm;
  for (let turn = 0; turn < TABLE_TURNS_MAX; turn++) {
    const entry = pageTable.ensure(address);
    if (entry !== NO_ENTRY) return entry;
    const pmd = pageTable.findPmd(address);
    if (pmd !== NO_ENTRY && (pageTable.flags(pmd) & Pte.huge) !== 0) return NO_ENTRY;
    // The table's allocation is atomic. Allocating and freeing a page with reclaim makes room for it.
    const page = yield* vm.pages.alloc(GFP_KERNEL, 0, mm.node, mm);
    if (page === NULL_PAGE) return NO_ENTRY;
    vm.memmap.putPage(page);
  }
  return NO_ENTRY;
}

function* handlePteFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, origFlags, flags } = fault;
  if (origFlags === 0) return vma.anonymous ? yield* doAnonymousPage(fault) : yield* doFault(fault);
  if (isNonPresent(origFlags)) return yield* handleNonPresent(fault);
  if ((origFlags & Pte.protnone) !== 0 && isAccessible(vma.flags)) return yield* doNumaPage(fault);
  const writes = (flags & FaultFlag.WRITE) !== 0;
  if ((flags & (FaultFlag.WRITE | FaultFlag.UNSHARE)) !== 0 && (origFlags & Pte.write) === 0)
    return yield* doWpPage(fault);
  vma.mm.pageTable.setFlags(fault.entry, origFlags | Pte.accessed | (writes ? Pte.dirty | Pte.softDirty : 0));
  return 0;
}

/** @see do_anonymous_page() */
function* doAnonymousPage(fault: FaultContext): Sleeps<VmFault> {
  const { vma, address, entry, flags } = fault;
  const { vm } = vma.mm;
  // A shared mapping without operations has no page cache to take pages from.
  if ((vma.flags & VmFlag.SHARED) !== 0) return VmFault.SIGBUS;
  // After the OOM reaper has run, the entry may have held written data: zeros would be wrong. @see
  // check_stable_address_space()
  if (vma.mm.unstable) return VmFault.SIGBUS;
  if (fillAnonymous(vm, vma, address, entry, flags) === 0) return 0;
  const page = yield* allocAnonymous(vma, address);
  if (page === NULL_PAGE) return VmFault.OOM;
  if (!entrySame(fault) || vma.mm.unstable) {
    vm.memmap.putPage(page);
    return vma.mm.unstable ? VmFault.SIGBUS : 0;
  }
  mapNewAnonymous(vm, vma, address, entry, page);
  return 0;
}
