// The page table walk of hmmRangeFault(). Each callback stores results, or stops the walk for a fault or a wait,
// which may sleep. Kernel counterpart: hmm_vma_walk_*(), hmm_vma_handle_*() and hmm_pte_need_fault() in mm/hmm.c.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type MmWalk, type MmWalkOps, VmFlag, WalkAction } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDevicePrivate,
  isMigration,
  Pte,
  specialPfn,
} from "@hetmem/page-table";
import { HmmPfn } from "./hmm-pfn.ts";
import type { HmmRange } from "./hmm-range-fault.ts";
import { Need, WalkStop } from "./walk-stop.ts";

const HMM_PFN_REQ_FLAGS: number = HmmPfn.reqFault | HmmPfn.reqWrite;
const HMM_PFN_VALID_WRITE: number = HmmPfn.valid | HmmPfn.write;
/**
 * Bits that classify an entry. An entry of a refcounted page that the process may access has present alone, or
 * present and write.
 */
const PRESENT_SMALL_PAGE_MASK: number = Pte.present | Pte.write | Pte.special | Pte.protnone;
const PRESENT_WRITABLE: number = Pte.present | Pte.write;
/** Order in pages of a PMD entry. */
const PMD_ORDER = 9;

export class HmmVmaWalk implements MmWalkOps {
  readonly stop: WalkStop;
  private readonly mm: MmStruct;
  private readonly range: HmmRange;
  private readonly asked: number;
  /** HmmPfn request bits that single entries may set. */
  private readonly mask: number;
  /** Whether any page may be requested. False for a snapshot, which reads no request words. */
  private readonly asks: boolean;

  constructor(mm: MmStruct, range: HmmRange) {
    this.mm = mm;
    this.range = range;
    this.stop = new WalkStop(range.start);
    this.asked = range.defaultFlags & HMM_PFN_REQ_FLAGS;
    this.mask = range.pfnFlagsMask & HMM_PFN_REQ_FLAGS;
    this.asks = ((this.asked | this.mask) & HmmPfn.reqFault) !== 0;
  }

  /** Skips mappings without VM_READ, and VM_IO and VM_PFNMAP ones. @see hmm_vma_walk_test() */
  testWalk(address: VirtAddr, next: VirtAddr, { vma }: MmWalk): number {
    const flags = vma?.flags ?? 0;
    if ((flags & (VmFlag.IO | VmFlag.PFNMAP)) === 0 && (flags & VmFlag.READ) !== 0) return 0;
    if (this.rangeNeeds(address, next, 0) !== Need.nothing) {
      const what = (flags & VmFlag.READ) === 0 ? "its mapping can't be read" : "a device is mapped there";
      return this.stop.at(address, next, undefined, this.stop.because(what));
    }
    this.fill(address, next, HmmPfn.error);
    return 1;
  }

  /** Handles addresses without a page table or without a mapping. @see hmm_vma_walk_hole() */
  pteHole(address: VirtAddr, next: VirtAddr, { vma }: MmWalk): number {
    const need = this.rangeNeeds(address, next, 0);
    if (need !== Need.nothing) {
      const stopped = vma === undefined ? this.stop.because("nothing is mapped there") : need;
      return this.stop.at(address, next, vma, stopped);
    }
    this.fill(address, next, vma === undefined ? HmmPfn.error : 0);
    return 0;
  }

  /** @see hmm_vma_walk_pmd(), hmm_vma_handle_pmd() */
  pmdEntry(pmd: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): number {
    const { pageTable } = this.mm;
    const flags = pageTable.flags(pmd);
    if ((flags & Pte.table) !== 0) return 0;
    walk.action = WalkAction.continue;
    if ((flags & Pte.huge) === 0)
      throw new KernelBug(`a huge entry that maps nothing: 0x${flags.toString(16)}`);
    const reached = (flags & Pte.protnone) === 0 ? answerFor(flags) | PMD_ORDER : 0;
    const need = this.rangeNeeds(address, next, reached);
    if (need !== Need.nothing) return this.stop.at(address, next, walk.vma, need);
    if (reached === 0) this.fill(address, next, 0);
    else this.fillHuge(pageTable.value(pmd) + ((address / 4096) & 511), address, next, reached);
    return 0;
  }

  /** @see hmm_vma_handle_pte() */
  pteRange(first: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): number {
    const { words } = this.mm.pageTable;
    const { hmmPfns } = this.range;
    const end = ((first << 1) + ((next - address) >> 11)) | 0;
    let entry = (first << 1) | 0;
    let at = this.wordOf(address) | 0;
    // Ends: each turn handles at least one entry.
    for (;;) {
      const done = answerPresentSmall(words, entry, end, hmmPfns, at, this.asks) - entry;
      entry += done;
      at += done;
      if (entry >= end) return Need.nothing;
      const need = this.handleEntry(words[entry] as number, words[entry | 1] as number, at);
      if (need !== Need.nothing) return this.stop.at(this.addressOf(at), next, walk.vma, need);
      entry += 2;
      at += 2;
    }
  }

  /** Handles an entry that answerPresentSmall() stops at. @param at index of its result in hmmPfns */
  private handleEntry(value: number, flags: number, at: number): Need {
    if ((flags & Pte.present) === 0) return this.handleNonPresent(value, flags, at);
    const reached = (flags & Pte.protnone) === 0 ? answerFor(flags) : 0;
    const need = this.needs(this.requestAt(at), reached);
    if (need !== Need.nothing) return need;
    if ((flags & Pte.special) === 0)
      return this.answer(at, reached === 0 ? (NULL_PAGE as Page) : entryPage(value), reached);
    const { vm } = this.mm;
    // The zero page is returned like any other page.
    if (specialPfn(value, flags) === vm.zeroPfn) return this.answer(at, vm.zeroPage, reached);
    // The entry is present, so a fault would not help: the frame has no struct page.
    if (this.needs(this.requestAt(at), 0) !== Need.nothing)
      return this.stop.because("no page stands behind it");
    return this.answer(at, NULL_PAGE as Page, HmmPfn.error);
  }

  private handleNonPresent(value: number, flags: number, at: number): Need {
    if (isDevicePrivate(flags) && this.isOwn(entryPage(value))) {
      const writes = entryKind(flags) === EntryKind.devicePrivateWrite;
      return this.answer(at, entryPage(value), writes ? HMM_PFN_VALID_WRITE : HmmPfn.valid);
    }
    const need = this.needs(this.requestAt(at), 0);
    if (need === Need.nothing) return this.answer(at, NULL_PAGE as Page, 0);
    if (isMigration(flags)) return Need.migration;
    if (entryKind(flags) === EntryKind.hwpoison) return this.stop.because("its memory is bad");
    // Empty, swap, another device's private page, or device-exclusive: a fault provides a present page.
    return need;
  }

  /** @see dev_private_owner */
  private isOwn(page: Page): boolean {
    return this.mm.vm.devices.pgmapOwner(page) === this.range.devPrivateOwner;
  }

  /**
   * Compares the request for a page (its own and the range's defaults) with the access that the entry allows.
   *
   * @see hmm_pte_need_fault()
   */
  private needs(request: number, reached: number): Need {
    const wanted = (request & this.mask) | this.asked;
    if ((wanted & HmmPfn.reqFault) === 0) return Need.nothing;
    if ((wanted & HmmPfn.reqWrite) !== 0 && (reached & HmmPfn.write) === 0) return Need.writeFault;
    return (reached & HmmPfn.valid) === 0 ? Need.fault : Need.nothing;
  }

  /**
   * needs() for a run of pages with equal entries. One write request makes the whole run a write fault.
   *
   * @see hmm_range_need_fault()
   */
  private rangeNeeds(address: VirtAddr, next: VirtAddr, reached: number): Need {
    if (!this.asks) return Need.nothing;
    let worst: Need = Need.nothing;
    const end = this.wordOf(next);
    for (let at = this.wordOf(address); at < end && worst !== Need.writeFault; at += 2) {
      const need = this.needs(this.requestAt(at), reached);
      if (need < worst) worst = need;
    }
    return worst;
  }

  private requestAt(at: number): number {
    return this.range.hmmPfns[at | 1] as number;
  }

  private answer(at: number, page: Page, flags: number): Need {
    const { hmmPfns } = this.range;
    hmmPfns[at] = page;
    hmmPfns[at | 1] = flags;
    return Need.nothing;
  }

  /** @see hmm_pfns_fill() */
  private fill(address: VirtAddr, next: VirtAddr, flags: number): void {
    fillPages(this.range.hmmPfns, this.wordOf(address), this.wordOf(next), NULL_PAGE, 0, flags);
  }

  private fillHuge(page: number, address: VirtAddr, next: VirtAddr, flags: number): void {
    fillPages(this.range.hmmPfns, this.wordOf(address), this.wordOf(next), page, 1, flags);
  }

  private wordOf(address: VirtAddr): number {
    return (address - this.range.start) / 2048;
  }

  private addressOf(at: number): VirtAddr {
    return (this.range.start + at * 2048) as VirtAddr;
  }
}

/**
 * Fast path: stores the results of present entries of refcounted small pages that satisfy any request. Handles nearly
 * all entries of a snapshot.
 *
 * @param entry index of the first entry in words
 * @param end index after the last entry
 * @param at index of the first result in hmmPfns
 * @param asks whether pages may be requested, in which case only writable entries satisfy any request
 * @returns index of the first entry that needs handleEntry(), or `end`
 */
function answerPresentSmall(
  words: Int32Array,
  entry: number,
  end: number,
  hmmPfns: Int32Array,
  at: number,
  asks: boolean,
): number {
  const readable = asks ? PRESENT_WRITABLE : Pte.present;
  let to = at | 0;
  let from = entry | 0;
  for (; from < end; from += 2, to += 2) {
    const access = (words[from | 1] as number) & PRESENT_SMALL_PAGE_MASK;
    if (access !== PRESENT_WRITABLE && access !== readable) break;
    hmmPfns[to] = words[from] as number;
    hmmPfns[to | 1] = access === PRESENT_WRITABLE ? HMM_PFN_VALID_WRITE : HmmPfn.valid;
  }
  return from;
}

/**
 * Stores equal flags for a run of pages.
 *
 * @param step 1 for consecutive pages from firstPage on, 0 for NULL_PAGE throughout
 */
function fillPages(
  hmmPfns: Int32Array,
  first: number,
  end: number,
  firstPage: number,
  step: number,
  flags: number,
): void {
  let page = firstPage | 0;
  for (let at = first | 0; at < end; at += 2) {
    hmmPfns[at] = page;
    hmmPfns[at | 1] = flags;
    page = (page + step) | 0;
  }
}

/** Result flags for an entry that maps a page. */
function answerFor(flags: number): number {
  return (flags & Pte.write) !== 0 ? HMM_PFN_VALID_WRITE : HmmPfn.valid;
}
