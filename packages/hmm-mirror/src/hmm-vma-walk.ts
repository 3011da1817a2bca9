// What hmmRangeFault() does at each thing that it meets in the page tables: it notes an answer, or stops the walk
// because something has to be done first that may sleep. Kernel counterpart: hmm_vma_walk_*(), hmm_vma_handle_*() and hmm_pte_need_fault() in mm/hmm.c.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDevicePrivate,
  isMigration,
  type MmStruct,
  type MmWalk,
  type MmWalkOps,
  Pte,
  specialPfn,
  VmFlag,
  WalkAction,
} from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { HmmPfn } from "./hmm-pfn.ts";
import type { HmmRange } from "./hmm-range-fault.ts";
import { Need, WalkStop } from "./walk-stop.ts";

const REQUESTS: number = HmmPfn.reqFault | HmmPfn.reqWrite;
const VALID_WRITE: number = HmmPfn.valid | HmmPfn.write;
/** Of these, an entry that maps a page which is counted, and which the process may use, has the first, or the first two. */
const PLAIN: number = Pte.present | Pte.write | Pte.special | Pte.protnone;
const WRITABLE: number = Pte.present | Pte.write;
/** Of an entry of a page middle directory. */
const PMD_ORDER = 9;

export class HmmVmaWalk implements MmWalkOps {
  readonly stop: WalkStop;
  private readonly mm: MmStruct;
  private readonly range: HmmRange;
  private readonly asked: number;
  /** What single entries may ask for. */
  private readonly mask: number;
  /** Whether anything may be asked for at all: else this is a snapshot, and no page is looked at for it. */
  private readonly asks: boolean;

  constructor(mm: MmStruct, range: HmmRange) {
    this.mm = mm;
    this.range = range;
    this.stop = new WalkStop(range.start);
    this.asked = range.defaultFlags & REQUESTS;
    this.mask = range.pfnFlagsMask & REQUESTS;
    this.asks = ((this.asked | this.mask) & HmmPfn.reqFault) !== 0;
  }

  /** A mapping that can't be read, or has no pages of its own, is left out. @see hmm_vma_walk_test() */
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

  /** No table, or no mapping either. @see hmm_vma_walk_hole() */
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
    // Ends: each turn passes over an entry at least.
    for (;;) {
      const done = answerPlain(words, entry, end, hmmPfns, at, this.asks) - entry;
      entry += done;
      at += done;
      if (entry >= end) return Need.nothing;
      const need = this.handleEntry(words[entry] as number, words[entry | 1] as number, at);
      if (need !== Need.nothing) return this.stop.at(this.addressOf(at), next, walk.vma, need);
      entry += 2;
      at += 2;
    }
  }

  /** An entry that answerPlain() leaves. @param at word of its answer */
  private handleEntry(value: number, flags: number, at: number): Need {
    if ((flags & Pte.present) === 0) return this.handleNonPresent(value, flags, at);
    const reached = (flags & Pte.protnone) === 0 ? answerFor(flags) : 0;
    const need = this.needs(this.requestAt(at), reached);
    if (need !== Need.nothing) return need;
    if ((flags & Pte.special) === 0)
      return this.answer(at, reached === 0 ? (NULL_PAGE as Page) : entryPage(value), reached);
    const { vm } = this.mm;
    // The zero page is one like others here.
    if (specialPfn(value, flags) === vm.zeroPfn) return this.answer(at, vm.zeroPage, reached);
    // A fault would say that it is there, and it is none.
    if (this.needs(this.requestAt(at), 0) !== Need.nothing)
      return this.stop.because("no page stands behind it");
    return this.answer(at, NULL_PAGE as Page, HmmPfn.error);
  }

  private handleNonPresent(value: number, flags: number, at: number): Need {
    if (isDevicePrivate(flags) && this.isOwn(entryPage(value))) {
      const writes = entryKind(flags) === EntryKind.devicePrivateWrite;
      return this.answer(at, entryPage(value), writes ? VALID_WRITE : HmmPfn.valid);
    }
    const need = this.needs(this.requestAt(at), 0);
    if (need === Need.nothing) return this.answer(at, NULL_PAGE as Page, 0);
    if (isMigration(flags)) return Need.migration;
    if (entryKind(flags) === EntryKind.hwpoison) return this.stop.because("its memory is bad");
    // Nothing yet, or in swap, with another device, or with this one alone: a fault brings it.
    return need;
  }

  /** @see dev_private_owner */
  private isOwn(page: Page): boolean {
    return this.mm.vm.devices.pgmapOwner(page) === this.range.devPrivateOwner;
  }

  /** What is missing at a page: what it asks for, and what the range asks for everywhere, against what the entry allows. @see hmm_pte_need_fault() */
  private needs(request: number, reached: number): Need {
    const wanted = (request & this.mask) | this.asked;
    if ((wanted & HmmPfn.reqFault) === 0) return Need.nothing;
    if ((wanted & HmmPfn.reqWrite) !== 0 && (reached & HmmPfn.write) === 0) return Need.writeFault;
    return (reached & HmmPfn.valid) === 0 ? Need.fault : Need.nothing;
  }

  /** The same for pages that are all alike: if one must be written, all are faulted for writing. @see hmm_range_need_fault() */
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
 * Answers for entries that need no thought: they map pages that are counted, and that the process may use, and nobody
 * could ask for more. Every page of most snapshots comes by here.
 *
 * @param entry word of the first one; @param at word of its answer
 * @returns word of the first entry that is none of these
 */
function answerPlain(
  words: Int32Array,
  entry: number,
  end: number,
  hmmPfns: Int32Array,
  at: number,
  asks: boolean,
): number {
  const readable = asks ? WRITABLE : Pte.present;
  let to = at | 0;
  let from = entry | 0;
  for (; from < end; from += 2, to += 2) {
    const plain = (words[from | 1] as number) & PLAIN;
    if (plain !== WRITABLE && plain !== readable) break;
    hmmPfns[to] = words[from] as number;
    hmmPfns[to | 1] = plain === WRITABLE ? VALID_WRITE : HmmPfn.valid;
  }
  return from;
}

/** Answers alike for a run of pages. @param step 1 where each is of the page behind the one before; 0 where there are none */
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

/** What a device may do with a page that an entry maps. */
function answerFor(flags: number): number {
  return (flags & Pte.write) !== 0 ? VALID_WRITE : HmmPfn.valid;
}
