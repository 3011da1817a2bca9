// The lockless walk of get_user_pages_fast(). The walk reads entries, takes references on their pages, and reads the
// entries again: a page may have been freed and given to another process before the reference was taken. Other tasks
// may run between these steps, as other CPUs do in the kernel. The first batch is one entry, and each batch is twice as
// long as the one before, so that a page of a long range costs little more than in a plain loop. The walk stops at the
// first entry that needs a lock. Kernel counterpart: gup_pgd_range(), gup_pte_range(), gup_huge_pmd() in mm/gup.c.
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

/** Preemption point without references: the pages may be unmapped, freed, and given to another process. */
const ENTRIES_READ: Preempt = Object.freeze({
  why: "gup_fast: entries read, pages not grabbed",
  ready: () => true,
});
/**
 * Preemption point with references: the addresses may map other pages by now. Fork, migration and reclaim check the
 * reference count first.
 */
const PAGES_GRABBED: Preempt = Object.freeze({
  why: "gup_fast: pages grabbed, entries not looked at again",
  ready: () => true,
});

/** Next step after a batch. */
const Next = { walkOn: 0, stop: 1, undoTable: 2 } as const;
type Next = (typeof Next)[keyof typeof Next];

/**
 * Arrays for the flags of a batch. A walk takes one, or makes one if other walks have them all, and puts it back at its
 * end.
 */
const spareFlags: Int32Array[] = [];

/**
 * Takes the pages that `count` pages of addresses map, as far as that needs no lock, and writes them to `into`.
 *
 * @param foll Foll bits
 * @returns number of pages taken
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
  /** Pages taken so far: the first of `into`. */
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

  /** Address of the next page. */
  get address(): VirtAddr {
    return (this.start + this.done * 4096) as VirtAddr;
  }

  /**
   * Takes the pages of consecutive entries of one table.
   *
   * @param first number of the first entry
   * @param flags array for the flags of the entries
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
      // Walks from the top again: the table itself may have been freed. @see 70cbc3cc78a9
      const same = this.mm.pageTable.find(address) === first ? this.keepUnchanged(first, grabbed, flags) : 0;
      this.giveBack(done + same, done + grabbed);
      this.done = done + same;
      // A batch that was cut short by an entry goes on here: the next batch begins at that entry and stops there.
      return same === read ? Next.walkOn : Next.stop;
    } finally {
      this.putPagemaps(done, read, flags);
    }
  }

  /** Takes small pages that a huge entry maps: all or none. @see gup_huge_pmd(), __gup_device_huge() */
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
      // A devmap entry maps small pages, each with its own reference count.
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

  /** Drops the pages taken from index `from` on. @see undo_dev_pagemap() */
  undo(from: number): void {
    this.giveBack(from, this.done);
    this.done = from;
  }

  /**
   * Reads entries up to the first that the walk can't use, and takes a reference on the pagemaps of device pages.
   *
   * @returns number of entries read
   */
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

  /**
   * Takes references or pins on the next pages of `into`.
   *
   * @returns number of pages, up to the first that is free by now
   */
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

  /**
   * Compares entries with what was read before.
   *
   * @returns number of entries, up to the first that has changed or whose page must be unshared
   */
  private keepUnchanged(first: number, count: number, seen: Int32Array): number {
    const { vm, foll, into, done } = this;
    const { words } = this.mm.pageTable;
    for (let i = 0; i < count; i++) {
      const word = (first + i) << 1;
      const page = into[done + i] as Page;
      const flags = seen[i] as number;
      if (words[word] !== page || words[word | 1] !== flags) return i;
      // Checked after the pin was taken: fork and migration share a page only if they see no pin.
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

  /** Whether an entry that couldn't be used maps a page whose pagemap is being torn down. */
  private isDying(entry: number): boolean {
    const { pageTable } = this.mm;
    const flags = pageTable.flags(entry);
    return (flags & Pte.devmap) !== 0 && permits(flags, this.foll);
  }
}

/** Whether the walk may use an entry. @see pte_access_permitted() */
function permits(flags: number, foll: number): boolean {
  const wanted = (foll & Foll.WRITE) !== 0 ? Pte.present | Pte.write : Pte.present;
  const refused = (foll & Foll.LONGTERM) !== 0 ? UNUSABLE | Pte.devmap : UNUSABLE;
  return (flags & (wanted | refused)) === wanted;
}
const UNUSABLE: number = Pte.special | Pte.protnone | Pte.table;

/**
 * Whether a copy-on-write page must be unshared before it is pinned.
 *
 * @param owner page with the PG_anon_exclusive flag: the head of a huge page
 */
function unshares(vm: Vm, owner: Page, flags: number, foll: number): boolean {
  return (flags & Pte.write) === 0 && mustUnshare(vm, owner, foll);
}

function pageInPmd(address: VirtAddr): number {
  return Math.floor((address % PMD_SIZE) / 4096);
}
