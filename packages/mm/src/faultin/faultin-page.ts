// Faulting in the pages of a range one address at a time, and taking references or pins on them. follow-page.ts
// answers for each address with a page, or with the reason for a fault, a wait or an error. The mmap lock is held.
// Kernel counterparts: __get_user_pages(), faultin_page(), check_vma_flags() in mm/gup.c.
import {
  condResched,
  KernelBug,
  KernelError,
  type Page,
  type Preempt,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { ensureEntry, handleMmFault } from "../fault/handle-mm-fault.ts";
import { FaultFlag, VM_FAULT_ERROR, VmFault } from "../fault/vm-fault.ts";
import { hugePmd, splitHugePmd } from "../huge/split-pmd.ts";
import type { MmStruct } from "../mm-struct.ts";
import { isCowMapping, VmFlag } from "../vma/vm-flags.ts";
import { describeVma, type Vma } from "../vma/vma.ts";
import { Foll } from "./foll.ts";
import { Follow, followPage } from "./follow-page.ts";

/**
 * Takes references on the pages of `count` consecutive addresses, faulting them in. For use inside mm; drivers call
 * getUserPages() of the package gup.
 *
 * @param start first address
 * @param count pages
 * @param foll Foll bits in addition to GET and TOUCH
 * @returns the pages in order; fewer than `count` when a later page failed
 * @throws KernelError EFAULT, ENOMEM, EHWPOISON or EINTR when the first page failed
 */
export function* grabUserPages(mm: MmStruct, start: VirtAddr, count: number, foll: number): Sleeps<Page[]> {
  const pages: Page[] = [];
  yield* walkUserPages(mm, start, count, foll | Foll.GET | Foll.TOUCH, pages);
  return pages;
}

/**
 * Faults for one page after which the model reports a bug: faults that succeed must bring the page at some point. The
 * kernel has no limit.
 */
const MAX_FAULTS = 1000;

/**
 * Faults pages in, and appends them to `pages` if flags ask for references. The mmap lock is held.
 *
 * @param start first address
 * @param count pages
 * @param foll Foll bits
 * @param pages undefined when the caller only wants the pages faulted in
 * @returns number of pages from the start that are present
 * @throws KernelError EFAULT, ENOMEM, EHWPOISON, EINTR, EEXIST or EOPNOTSUPP when the first page failed
 * @see __get_user_pages()
 */
export function* walkUserPages(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  pages: Page[] | undefined,
): Sleeps<number> {
  let vma: Vma | undefined;
  let faults = 0;
  for (let done = 0; done < count;) {
    // Ends: each round takes a page, or is one of at most MAX_FAULTS faults for it.
    const address = (start + done * 4096) as VirtAddr;
    try {
      if (vma === undefined || address >= vma.end) vma = permittedVma(mm, address, foll);
      const found = followPage(vma, address, foll);
      if (found > 0 || (found === Follow.noStructPage && pages === undefined)) {
        pages?.push(found as Page);
        done++;
        faults = 0;
        if (done % 512 === 0) yield condResched;
      } else if (++faults > MAX_FAULTS) {
        throw new KernelBug(
          `${MAX_FAULTS} faults don't bring a page: ${describeVma(vma)} at 0x${address.toString(16)}`,
        );
      } else if (!(yield* handleFollowResult(vma, address, found, foll))) {
        return done;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof KernelError)) throw error;
      return done;
    }
  }
  return count;
}

/**
 * The mapping at an address, checked against flags.
 *
 * @throws KernelError EFAULT where nothing is mapped, or the mapping doesn't allow the access
 * @see check_vma_flags()
 */
function permittedVma(mm: MmStruct, address: VirtAddr, foll: number): Vma {
  const vma = mm.vmas.at(address);
  if (vma === undefined) throw fault(address, "nothing is mapped there");
  const refusal = refusalOf(vma, foll);
  if (refusal !== undefined) throw fault(address, refusal);
  return vma;
}

/** The reason why a mapping doesn't allow an access with these flags; undefined when it does. */
export function refusalOf({ flags, anonymous }: Vma, foll: number): string | undefined {
  if ((flags & (VmFlag.IO | VmFlag.PFNMAP)) !== 0)
    return "the mapping is of frames without struct pages, such as a device's registers";
  if ((foll & Foll.ANON) !== 0 && !anonymous) return "the mapping isn't anonymous";
  const forced = (foll & Foll.FORCE) !== 0;
  if ((foll & Foll.WRITE) !== 0) {
    if ((flags & VmFlag.WRITE) !== 0) return undefined;
    if (!forced) return "the mapping isn't writable";
    if ((flags & VmFlag.HUGETLB) !== 0) return "huge pages can't be written against their protection";
    return isCowMapping(flags) ? undefined : "only a private mapping can be written against its protection";
  }
  if ((flags & VmFlag.READ) !== 0) return undefined;
  return forced && (flags & VmFlag.MAYREAD) !== 0 ? undefined : "the mapping isn't readable";
}

/** Acts on an answer of followPage(). @returns false when that means sleeping, and NOWAIT is set */
function* handleFollowResult(vma: Vma, address: VirtAddr, found: number, foll: number): Sleeps<boolean> {
  switch (found) {
    case Follow.fault:
      return yield* faultinPage(vma, address, foll, 0);
    case Follow.unshare:
      return yield* faultinPage(vma, address, foll, FaultFlag.UNSHARE);
    case Follow.split:
      yield* splitForUser(vma, address);
      return true;
    case Follow.dying:
      yield pagemapTeardown(vma, address);
      return true;
    case Follow.dead:
      throw fault(address, "the memory of the device that is mapped there is being taken away");
    case Follow.hole:
      throw fault(address, "there is a hole: it reads as zeros");
    case Follow.noStructPage:
      throw new KernelError("EEXIST", `0x${address.toString(16)} maps a frame that has no struct page`);
    case Follow.fsdax:
      throw new KernelError(
        "EOPNOTSUPP",
        `0x${address.toString(16)} is of a file on persistent memory: a long pin would keep the file from changing`,
      );
    case Follow.overflow:
      throw new KernelError("ENOMEM", `the page at 0x${address.toString(16)} has too many references`);
    default:
      throw new KernelBug(`followPage() answers ${found}`);
  }
}

/**
 * Splits a huge entry. The page table is made before the next fault, so that the fault maps small pages.
 *
 * @see follow_pmd_mask()
 */
function* splitForUser(vma: Vma, address: VirtAddr): Sleeps<void> {
  const { mm } = vma;
  yield* splitHugePmd(vma, address);
  const entry = yield* ensureEntry(mm, address);
  if (entry === NO_ENTRY && hugePmd(mm.pageTable, address) === NO_ENTRY)
    throw new KernelError("ENOMEM", `no memory for a page table at 0x${address.toString(16)}`);
}

/** @see faultin_page() */
function* faultinPage(vma: Vma, address: VirtAddr, foll: number, unshare: number): Sleeps<boolean> {
  const { mm } = vma;
  if ((foll & Foll.NOFAULT) !== 0) throw fault(address, "a fault would have to bring the page");
  if ((foll & Foll.REMOTE) === 0 && isKilled(mm))
    throw new KernelError("EINTR", `the process of mm ${mm.id} is being killed`);
  if ((foll & Foll.NOWAIT) !== 0 && wouldWait(mm, address)) return false;
  const flags =
    ((foll & Foll.WRITE) !== 0 ? FaultFlag.WRITE : 0) |
    ((foll & Foll.REMOTE) !== 0 ? FaultFlag.REMOTE : 0) |
    unshare;
  const result = yield* handleMmFault(vma, address, flags);
  if ((result & VM_FAULT_ERROR) !== 0) throw errorOf(result, address, foll);
  return true;
}

/** @see vm_fault_to_errno() */
function errorOf(result: VmFault, address: VirtAddr, foll: number): KernelError {
  const at = `0x${address.toString(16)}`;
  if ((result & VmFault.OOM) !== 0) return new KernelError("ENOMEM", `no memory for the page at ${at}`);
  if ((result & VmFault.HWPOISON) !== 0) {
    const errno = (foll & Foll.HWPOISON) !== 0 ? "EHWPOISON" : "EFAULT";
    return new KernelError(errno, `the memory of the page at ${at} is bad`);
  }
  return fault(address, "a fault there ends in a signal");
}

/** Whether the entry is a swap, migration or device entry, for which a fault would sleep. */
function wouldWait({ pageTable }: MmStruct, address: VirtAddr): boolean {
  const found = pageTable.find(address);
  const entry = found === NO_ENTRY ? pageTable.findPmd(address) : found;
  if (entry === NO_ENTRY) return false;
  const flags = pageTable.flags(entry);
  return flags !== 0 && (flags & Pte.present) === 0;
}

/** Waits for the end of a pagemap's teardown, which removes the entry. Until then a fault can't make progress. */
function pagemapTeardown({ mm }: Vma, address: VirtAddr): Preempt {
  const { pageTable, vm } = mm;
  const entry = pageTable.find(address);
  const [value, flags] = entry === NO_ENTRY ? [0, 0] : [pageTable.value(entry), pageTable.flags(entry)];
  return {
    why: "the teardown of a pagemap whose pages are mapped",
    ready: () => {
      if (entry === NO_ENTRY || pageTable.find(address) !== entry) return true;
      if (pageTable.value(entry) !== value || pageTable.flags(entry) !== flags) return true;
      if (!vm.devices.tryGetPagemap(value as Page)) return false;
      vm.devices.putPagemap(value as Page);
      return true;
    },
  };
}

/** @see fatal_signal_pending() */
function isKilled(mm: MmStruct): boolean {
  for (const process of mm.vm.processes.of(mm)) if (process.killed) return true;
  return false;
}

function fault(address: VirtAddr, why: string): KernelError {
  return new KernelError("EFAULT", `0x${address.toString(16)} can't be reached: ${why}`);
}
