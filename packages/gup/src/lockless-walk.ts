// The pages behind a range without any lock: entries are read, their pages grabbed, and the entries looked at again, since
// a page may belong to another process by the time it is grabbed. Other tasks may run between these steps, as other cpus
// do in the kernel. The first entries are taken one by one; behind them batches double, so that a long range costs little
// more a page than a plain loop. The walk stops at the first entry that needs more than a look. Kernel counterpart:
// gup_pgd_range(), gup_pte_range(), gup_huge_pmd() in mm/gup.c.
import type { Page, Preempt, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vm } from "@hetmem/mm";
import {
  countPins,
  Foll,
  mustUnshare,
  putGrabbedPage,
  tryGrabPage,
  tryGrabUncounted,
} from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { ENTRIES, entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";

/** Until they are grabbed, the pages may be unmapped, freed, and given to another process. */
const ENTRIES_READ: Preempt = Object.freeze({
  why: "gup_fast: entries read, pages not grabbed",
  ready: () => true,
});
/** The pages are held, but the addresses may map others: fork, migration and reclaim look at counts first. */
const PAGES_GRABBED: Preempt = Object.freeze({
  why: "gup_fast: pages grabbed, entries not looked at again",
  ready: () => true,
});

/** What is left to do behind a batch. */
const Next = { walkOn: 0, stop: 1, undoTable: 2 } as const;
type Next = (typeof Next)[keyof typeof Next];

/** Flags of the entries of a batch, for walks to come: one that is under way has its own. */
const spareFlags: Int32Array[] = [];

/**
 * Fills `into` with the pages behind `count` pages of addresses, as far as no lock is needed.
 *
 * @param foll Foll bits
 * @returns how many
 * @see lockless_pages_from_mm()
 */
export function* walkLockless(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
): Sleeps<number> {
  const walk = new LocklessWalk(mm, start, foll, into);
  const flags = spareFlags.pop() ?? new Int32Array(ENTRIES);
  let tableBegin = 0;
  let next: Next = Next.walkOn;
  for (let most = 1; walk.done < count && next === Next.walkOn; most = Math.min(2 * most, ENTRIES)) {
    const address = walk.address;
    if (address % PMD_SIZE === 0) tableBegin = walk.done;
    const entry = mm.pageTable.find(address);
    const left = Math.min(count - walk.done, ENTRIES - pageInPmd(address));
    next =
      entry === NO_ENTRY
        ? yield* walk.grabHuge(left)
        : yield* walk.grabEntries(entry, Math.min(left, most), flags);
  }
  spareFlags.push(flags);
  if (next === Next.undoTable) walk.undo(tableBegin);
  return walk.done;
}

class LocklessWalk {
  /** Pages that are held, at the beginning of `into`. */
  done = 0;
  private readonly mm: MmStruct;
  private readonly vm: Vm;
  private readonly start: VirtAddr;
  private readonly foll: number;
  private readonly into: Int32Array;

  constructor(mm: MmStruct, start: VirtAddr, foll: number, into: Int32Array) {
    this.mm = mm;
    this.vm = mm.vm;
    this.start = start;
    this.foll = foll;
    this.into = into;
  }

  /** Of the next page. */
  get address(): VirtAddr {
    return (this.start + this.done * 4096) as VirtAddr;
  }

  /**
   * The pages of some entries of one table.
   *
   * @param flags room for what the entries allow
   * @see gup_pte_range()
   */
  *grabEntries(first: number, count: number, flags: Int32Array): Sleeps<Next> {
    const { address, done } = this;
    const read = this.readEntries(first, count, flags);
    if (read === 0) return this.isDying(first) ? Next.undoTable : Next.stop;
    try {
      yield ENTRIES_READ;
      const grabbed = this.grabPages(read);
      yield PAGES_GRABBED;
      // From the top: the table itself may have gone. @see 70cbc3cc78a9
      const same = this.mm.pageTable.find(address) === first ? this.keepUnchanged(first, grabbed, flags) : 0;
      this.giveBack(done + same, done + grabbed);
      this.done = done + same;
      // Where reading ended, the next batch finds out why.
      return same === read ? Next.walkOn : Next.stop;
    } finally {
      this.putPagemaps(done, read, flags);
    }
  }

  /** The small pages that a huge entry maps: all or none. @see gup_huge_pmd(), __gup_device_huge() */
  *grabHuge(count: number): Sleeps<Next> {
    const { address, foll, into, done, vm } = this;
    const { pageTable } = this.mm;
    const pmd = pageTable.findPmd(address);
    if (pmd === NO_ENTRY) return Next.stop;
    const [value, flags] = [pageTable.value(pmd), pageTable.flags(pmd)];
    if ((flags & Pte.huge) === 0 || !permits(flags, foll)) return Next.stop;
    const head = entryPage(value);
    const first = (head + pageInPmd(address)) as Page;
    const devmap = (flags & Pte.devmap) !== 0;
    if (devmap && !vm.devices.tryGetPagemap(first)) return Next.stop;
    for (let i = 0; i < count; i++) into[done + i] = first + i;
    try {
      yield ENTRIES_READ;
      // A devmap entry maps small pages, each with its own count.
      const grabbed = devmap ? this.grabPages(count) : this.grabCompound(first, count);
      yield PAGES_GRABBED;
      const same =
        pageTable.findPmd(address) === pmd &&
        pageTable.value(pmd) === value &&
        pageTable.flags(pmd) === flags;
      if (grabbed === count && same && (devmap || !unshares(vm, head, flags, foll))) {
        if (devmap) for (let i = 0; i < count; i++) vm.memmap.set((first + i) as Page, PageFlag.referenced);
        else vm.memmap.set(head, PageFlag.referenced);
        this.done += count;
        return Next.walkOn;
      }
      if (devmap) this.giveBack(done, done + grabbed);
      else if (grabbed > 0) putGrabbedPage(vm, first, count, foll);
      return Next.stop;
    } finally {
      if (devmap) vm.devices.putPagemap(first);
    }
  }

  /** Gives back what was grabbed from a page on. @see undo_dev_pagemap() */
  undo(from: number): void {
    this.giveBack(from, this.done);
    this.done = from;
  }

  /** Reads entries as far as they may be used, and holds the pagemaps of device pages. @returns how many */
  private readEntries(first: number, count: number, seen: Int32Array): number {
    const { vm, foll, into, done } = this;
    const { words } = this.mm.pageTable;
    for (let i = 0; i < count; i++) {
      const word = (first + i) << 1;
      const flags = words[word | 1] as number;
      if (!permits(flags, foll)) return i;
      const page = entryPage(words[word] as number);
      if ((flags & Pte.devmap) !== 0 && !vm.devices.tryGetPagemap(page)) return i;
      into[done + i] = page;
      seen[i] = flags;
    }
    return count;
  }

  /** Takes references or pins on the next pages of `into`. @returns how many, up to the first that is free by now */
  private grabPages(count: number): number {
    const { vm, foll, into, done } = this;
    const { memmap } = vm;
    let i = 0;
    for (; i < count; i++) {
      const page = into[done + i] as Page;
      if (!memmap.initialised(page) || !tryGrabUncounted(vm, page, 1, foll)) break;
    }
    if ((foll & Foll.PIN) !== 0) countPins(vm, into, done, done + i);
    return i;
  }

  private grabCompound(first: Page, count: number): number {
    const { vm, foll } = this;
    return vm.memmap.initialised(first) && tryGrabPage(vm, first, count, foll) ? count : 0;
  }

  /** @returns how many pages of the batch are still what their entries map, and may be used */
  private keepUnchanged(first: number, count: number, seen: Int32Array): number {
    const { vm, foll, into, done } = this;
    const { words } = this.mm.pageTable;
    for (let i = 0; i < count; i++) {
      const word = (first + i) << 1;
      const page = into[done + i] as Page;
      const flags = seen[i] as number;
      if (words[word] !== page || words[word | 1] !== flags) return i;
      // Looked at behind the grab: fork and migration share a page only when they see no pin.
      if (unshares(vm, page, flags, foll)) return i;
      vm.memmap.set(page, PageFlag.referenced);
    }
    return count;
  }

  private giveBack(from: number, to: number): void {
    for (let i = to - 1; i >= from; i--) putGrabbedPage(this.vm, this.into[i] as Page, 1, this.foll);
  }

  private putPagemaps(from: number, count: number, flags: Int32Array): void {
    for (let i = 0; i < count; i++)
      if (((flags[i] as number) & Pte.devmap) !== 0) this.vm.devices.putPagemap(this.into[from + i] as Page);
  }

  /** Whether an entry that can't be used maps a page whose pagemap is being torn down. */
  private isDying(entry: number): boolean {
    const { pageTable } = this.mm;
    const flags = pageTable.flags(entry);
    return (flags & Pte.devmap) !== 0 && permits(flags, this.foll);
  }
}

/** Whether an entry may be used as it is. @see pte_access_permitted() */
function permits(flags: number, foll: number): boolean {
  const wanted = (foll & Foll.WRITE) !== 0 ? Pte.present | Pte.write : Pte.present;
  const refused = (foll & Foll.LONGTERM) !== 0 ? UNUSABLE | Pte.devmap : UNUSABLE;
  return (flags & (wanted | refused)) === wanted;
}
const UNUSABLE: number = Pte.special | Pte.protnone | Pte.table;

/** Whether the page must become the process's own first. @param owner the page whose flag says that: a huge page's head */
function unshares(vm: Vm, owner: Page, flags: number, foll: number): boolean {
  return (flags & Pte.write) === 0 && mustUnshare(vm, owner, foll);
}

function pageInPmd(address: VirtAddr): number {
  return Math.floor((address % PMD_SIZE) / 4096);
}
