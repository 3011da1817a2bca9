// The pages behind a range without any lock: each entry is read, its page grabbed, and the entry looked at again, since
// the page may have been somebody else's by then. Twice, atomically for who runs alone, and preempted where the kernel's
// races are; what is done with an entry is the same code. It stops at the first entry that needs more than a look.
// Kernel counterpart: gup_pte_range(), gup_huge_pmd() in mm/gup.c.
import type { Page, Preempt, Sleeps, VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";
import { ENTRIES, NO_ENTRY, PMD_SIZE } from "../page-table/page-table.ts";
import { entryPage, Pte } from "../page-table/pte.ts";
import type { Vm } from "../vm.ts";
import { Foll } from "./foll.ts";
import { mustUnshare } from "./follow-page.ts";
import { countPins, putGrabbedPage, tryGrabPage, tryGrabUncounted } from "./pin-count.ts";

/** The page may be unmapped, freed, and somebody else's before it is grabbed. */
const ENTRY_READ: Preempt = Object.freeze({
  why: "gup_fast: entry read, page not grabbed",
  ready: () => true,
});
/** It is held now, but it may not be what the address maps any more: fork, migration and reclaim look at counts first. */
const PAGE_GRABBED: Preempt = Object.freeze({
  why: "gup_fast: page grabbed, entry not looked at again",
  ready: () => true,
});

/** The pagemap of a page is dying: what was grabbed from the same table is given back. @see undo_dev_pagemap() */
const UNDO = -1;

/**
 * Fills `into` with the pages behind `count` pages of addresses, as far as no lock is needed. Atomic.
 *
 * @param foll Foll bits
 * @returns how many
 * @see lockless_pages_from_mm()
 */
export function walkLockless(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
): number {
  const { pageTable, vm } = mm;
  let done = 0;
  while (done < count) {
    const address = (start + done * 4096) as VirtAddr;
    const entry = pageTable.find(address);
    const left = count - done;
    const wanted =
      entry === NO_ENTRY ? untilPmdEnd(address, left) : Math.min(left, ENTRIES - (entry & (ENTRIES - 1)));
    const got =
      entry === NO_ENTRY
        ? grabHuge(mm, address, wanted, foll, into, done)
        : grabEntries(vm, pageTable.words, entry, wanted, foll, into, done);
    done += got;
    if (got < wanted) break;
  }
  return done;
}

/** The same, preempted between the steps of each entry. */
export function* walkLocklessRacing(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
): Sleeps<number> {
  let done = 0;
  let tableBegin = 0;
  while (done < count) {
    const address = (start + done * 4096) as VirtAddr;
    if (address % PMD_SIZE === 0) tableBegin = done;
    const got = yield* grabOneRacing(mm, address, count - done, foll, into, done);
    if (got > 0) done += got;
    else if (got === UNDO) return undo(mm.vm, into, tableBegin, done, foll);
    else break;
  }
  return done;
}

/** The pages of one table's entries, from an entry on. @returns how many @see gup_pte_range() */
function grabEntries(
  vm: Vm,
  words: Int32Array,
  entry: number,
  count: number,
  foll: number,
  into: Int32Array,
  at: number,
): number {
  const got = grabRun(vm, words, entry, count, foll, into, at);
  if ((foll & Foll.PIN) !== 0) countPins(vm, into, at, at + got);
  if (got === count) return got;
  const [value, flags] = [words[(entry + got) << 1] as number, words[((entry + got) << 1) | 1] as number];
  return isDying(vm, value, flags, foll) ? undo(vm, into, at, at + got, foll) - at : got;
}

/** Hot, and without allocations. @returns how many entries it could use */
function grabRun(
  vm: Vm,
  words: Int32Array,
  entry: number,
  count: number,
  foll: number,
  into: Int32Array,
  at: number,
): number {
  const { memmap, devices } = vm;
  for (let i = 0; i < count; i++) {
    const word = (entry + i) << 1;
    const flags = words[word | 1] as number;
    if (!permits(flags, foll)) return i;
    const page = entryPage(words[word] as number);
    const devmap = (flags & Pte.devmap) !== 0;
    if (devmap && !devices.tryGetPagemap(page)) return i;
    const grabbed = !unshares(vm, page, flags, foll) && tryGrabUncounted(vm, page, 1, foll);
    if (devmap) devices.putPagemap(page);
    if (!grabbed) return i;
    memmap.set(page, PageFlag.referenced);
    into[at + i] = page;
  }
  return count;
}

/** One entry of either size. @returns pages, 0 where a lock is needed, or UNDO */
function* grabOneRacing(
  mm: MmStruct,
  address: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
  at: number,
): Sleeps<number> {
  const { pageTable, vm } = mm;
  const entry = entryFor(mm, address);
  if (entry === NO_ENTRY) return 0;
  const [value, flags] = [pageTable.value(entry), pageTable.flags(entry)];
  if (!permits(flags, foll)) return 0;
  const huge = (flags & Pte.huge) !== 0;
  const first = (entryPage(value) + (huge ? pageInPmd(address) : 0)) as Page;
  const devmap = (flags & Pte.devmap) !== 0;
  const pages = huge && !devmap ? untilPmdEnd(address, count) : 1;
  if (devmap && !vm.devices.tryGetPagemap(first)) return UNDO;
  try {
    yield ENTRY_READ;
    if (!vm.memmap.initialised(first) || !tryGrabPage(vm, first, pages, foll)) return 0;
    yield PAGE_GRABBED;
    // From the top: the table itself may have gone. @see 70cbc3cc78a9
    const changed =
      entryFor(mm, address) !== entry || pageTable.value(entry) !== value || pageTable.flags(entry) !== flags;
    // Looked at last: fork and migration share a page only when they see no pin.
    if (changed || unshares(vm, huge ? entryPage(value) : first, flags, foll)) {
      putGrabbedPage(vm, first, pages, foll);
      return 0;
    }
    vm.memmap.set(first, PageFlag.referenced);
  } finally {
    if (devmap) vm.devices.putPagemap(first);
  }
  for (let i = 0; i < pages; i++) into[at + i] = first + i;
  return pages;
}

/** The small pages that a huge entry maps, from an address on. @returns how many of those wanted: all or none @see gup_huge_pmd() */
function grabHuge(
  mm: MmStruct,
  address: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
  at: number,
): number {
  const { pageTable, vm } = mm;
  const pmd = pageTable.findPmd(address);
  if (pmd === NO_ENTRY) return 0;
  const flags = pageTable.flags(pmd);
  if ((flags & Pte.huge) === 0 || !permits(flags, foll)) return 0;
  const head = entryPage(pageTable.value(pmd));
  const first = (head + pageInPmd(address)) as Page;
  for (let i = 0; i < count; i++) into[at + i] = first + i;
  if ((flags & Pte.devmap) !== 0) return grabDevicePages(vm, first, count, foll, into, at);
  if (unshares(vm, head, flags, foll) || !tryGrabPage(vm, first, count, foll)) return 0;
  vm.memmap.set(head, PageFlag.referenced);
  return count;
}

/** @see __gup_device_huge() */
function grabDevicePages(
  vm: Vm,
  first: Page,
  count: number,
  foll: number,
  into: Int32Array,
  at: number,
): number {
  for (let i = 0; i < count; i++) {
    const page = (first + i) as Page;
    const held = vm.devices.tryGetPagemap(page);
    const grabbed = held && tryGrabPage(vm, page, 1, foll);
    if (held) vm.devices.putPagemap(page);
    if (grabbed) continue;
    undo(vm, into, at, at + i, foll);
    return 0;
  }
  return count;
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

/** Whether the walk ended at a page whose pagemap is being torn down. */
function isDying({ devices }: Vm, value: number, flags: number, foll: number): boolean {
  if ((flags & Pte.devmap) === 0 || !permits(flags, foll)) return false;
  if (!devices.tryGetPagemap(value as Page)) return true;
  devices.putPagemap(value as Page);
  return false;
}

/** Gives back what was grabbed in one table. @returns how many are left */
function undo(vm: Vm, into: Int32Array, from: number, to: number, foll: number): number {
  for (let i = to - 1; i >= from; i--) putGrabbedPage(vm, into[i] as Page, 1, foll);
  return from;
}

/** The entry that maps an address, of either size. */
function entryFor({ pageTable }: MmStruct, address: VirtAddr): number {
  const entry = pageTable.find(address);
  if (entry !== NO_ENTRY) return entry;
  const pmd = pageTable.findPmd(address);
  return pmd !== NO_ENTRY && (pageTable.flags(pmd) & Pte.huge) !== 0 ? pmd : NO_ENTRY;
}

function pageInPmd(address: VirtAddr): number {
  return Math.floor((address % PMD_SIZE) / 4096);
}

function untilPmdEnd(address: VirtAddr, count: number): number {
  return Math.min(count, ENTRIES - pageInPmd(address));
}
