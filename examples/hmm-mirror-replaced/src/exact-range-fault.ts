// Another implementation of HmmRangeFault. The kernel's hmm_range_fault(), at the first page that is missing, faults in
// everything from there to the end of the range or of its 2 MiB, requested or not. This one faults in the requested pages
// and no other: slower for long ranges, and a process whose device asks for single pages keeps its memory sparse.
import { answerHmmPfn, HmmPfn, hmmPfnFlags, type HmmRange, type HmmRangeResult } from "@hetmem/hmm-mirror";
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { FaultFlag, handleMmFault, type MmStruct, mmStruct, VM_FAULT_ERROR, VmFlag } from "@hetmem/mm";
import { mmuIntervalCheckRetry } from "@hetmem/mmu-notifier";
import { NULL_PAGE } from "@hetmem/page";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDevicePrivate,
  NO_ENTRY,
  Pte,
  specialPfn,
} from "@hetmem/page-table";

/** What the page table says of an address: a page and HmmPfn bits, which are 0 where a fault is needed. */
interface Look {
  readonly page: Page;
  readonly flags: number;
  /** The page is in the device's own memory. It is answered as it is mapped: a fault would move it to RAM. */
  readonly own?: true;
}

const MISSING: Look = { page: NULL_PAGE, flags: 0 };
const UNREACHABLE: Look = { page: NULL_PAGE, flags: HmmPfn.error };
const PMD_ORDER = 9;

/**
 * The mmap lock is held for reading.
 *
 * @throws KernelError EFAULT for a requested page that a fault can't provide, EPERM for a write in a read-only mapping
 */
export function* exactRangeFault(range: HmmRange): Sleeps<HmmRangeResult> {
  const { notifier, start, end, hmmPfns } = range;
  if (notifier.mm === undefined) throw new KernelError("EINVAL", "the notifier listens to no address space");
  const mm = mmStruct(notifier.mm);
  for (let i = 0; start + i * PAGE_SIZE < end; i++) {
    const address = (start + i * PAGE_SIZE) as VirtAddr;
    const request = range.defaultFlags | (hmmPfnFlags(hmmPfns, i) & range.pfnFlagsMask);
    // Ends: a fault provides the page or throws, and a page that is taken away again ends the loop with "busy".
    for (;;) {
      if (mmuIntervalCheckRetry(notifier, range.notifierSeq)) return "busy";
      const look = lookUp(mm, address, range.devPrivateOwner);
      if (suffices(look, request)) {
        answerHmmPfn(hmmPfns, i, look.page, look.flags);
        break;
      }
      yield* fault(mm, address, look, (request & HmmPfn.reqWrite) !== 0);
    }
  }
  return "ok";
}

function suffices({ flags, own }: Look, request: number): boolean {
  if (own || (request & HmmPfn.reqFault) === 0) return true;
  const needed = (request & HmmPfn.reqWrite) === 0 ? HmmPfn.valid : HmmPfn.valid | HmmPfn.write;
  return (flags & needed) === needed;
}

function lookUp({ pageTable, vm, vmas }: MmStruct, address: VirtAddr, owner: unknown): Look {
  const vma = vmas.at(address);
  if (vma === undefined || (vma.flags & VmFlag.READ) === 0 || (vma.flags & (VmFlag.IO | VmFlag.PFNMAP)) !== 0)
    return UNREACHABLE;
  const pmd = pageTable.findPmd(address);
  if (pmd !== NO_ENTRY && (pageTable.flags(pmd) & Pte.huge) !== 0) {
    const part = (address / PAGE_SIZE) % 2 ** PMD_ORDER;
    return lookAtPresent((pageTable.value(pmd) + part) as Page, pageTable.flags(pmd), PMD_ORDER);
  }
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY) return MISSING;
  const [value, flags] = [pageTable.value(entry), pageTable.flags(entry)];
  if ((flags & Pte.present) !== 0) {
    if ((flags & Pte.special) === 0) return lookAtPresent(entryPage(value), flags, 0);
    // The zero page is the only frame here whose mappings aren't counted and that has a struct page.
    return specialPfn(value, flags) === vm.zeroPfn ? lookAtPresent(vm.zeroPage, flags, 0) : UNREACHABLE;
  }
  // A page in the device's own memory. The cpu can't use its entry, and the device can.
  if (!isDevicePrivate(flags) || vm.devices.pgmapOwner(entryPage(value)) !== owner) return MISSING;
  const writable = entryKind(flags) === EntryKind.devicePrivateWrite;
  return { page: entryPage(value), flags: writable ? HmmPfn.valid | HmmPfn.write : HmmPfn.valid, own: true };
}

/** A NUMA hint is present, and any access to it faults. */
function lookAtPresent(page: Page, flags: number, order: number): Look {
  if ((flags & Pte.protnone) !== 0) return MISSING;
  const writable = (flags & Pte.write) !== 0;
  return { page, flags: (writable ? HmmPfn.valid | HmmPfn.write : HmmPfn.valid) | order };
}

/** Faults one page in, as an access of the process would. */
function* fault(mm: MmStruct, address: VirtAddr, { flags }: Look, write: boolean): Sleeps<void> {
  const vma = mm.vmas.at(address);
  const where = `0x${address.toString(16)}`;
  if (vma === undefined || (flags & HmmPfn.error) !== 0)
    throw new KernelError("EFAULT", `${where} has no memory that a device can use`);
  if (write && (vma.flags & VmFlag.WRITE) === 0) throw new KernelError("EPERM", `${where} is read-only`);
  const result = yield* handleMmFault(vma, address, FaultFlag.REMOTE | (write ? FaultFlag.WRITE : 0));
  if ((result & VM_FAULT_ERROR) !== 0) throw new KernelError("EFAULT", `${where} can't be faulted in`);
}
