// A fault on a mapping, with the mmap lock held for reading: finds or makes the entry, looks at what it holds, and hands
// over to the file that knows what to do about it. Kernel counterpart: __handle_mm_fault() and handle_pte_fault() in
// mm/memory.c.
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
 * Makes an address of a mapping usable for what was asked.
 *
 * @param flags FaultFlag bits
 * @returns VmFault bits; 0 means that the access can be tried again. The mmap lock is still held
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
  // Somebody may have mapped 2 MiB meanwhile.
  if (entry === NO_ENTRY) return hugePmd(pageTable, address) === NO_ENTRY ? VmFault.OOM : 0;
  return yield* handlePteFault(faultAt(vma, realAddress, flags, entry));
}

/** The entry for an address, with reclaim where memory for a table is short; NO_ENTRY when that doesn't help. @see pte_alloc() */
export function* ensureEntry(mm: MmStruct, address: VirtAddr): Sleeps<number> {
  const { pageTable, vm } = mm;
  for (let turn = 0; turn < TABLE_TURNS_MAX; turn++) {
    const entry = pageTable.ensure(address);
    if (entry !== NO_ENTRY) return entry;
    const pmd = pageTable.findPmd(address);
    if (pmd !== NO_ENTRY && (pageTable.flags(pmd) & Pte.huge) !== 0) return NO_ENTRY;
    // One page that waited for reclaim makes room for the table that can't.
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
  // A shared mapping without operations can't have pages of its own.
  if ((vma.flags & VmFlag.SHARED) !== 0) return VmFault.SIGBUS;
  // The OOM killer may have taken what was written here: it must not be read as zeros. @see check_stable_address_space()
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
