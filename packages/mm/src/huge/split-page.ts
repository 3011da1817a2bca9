// A huge page becomes 512 small ones, each with a reference count, an owner and a place on an LRU list of its own. For
// that nobody may have hold of it but the entries that map it, and those are migration entries meanwhile: whoever touches
// the page waits. Kernel counterpart: split_huge_page_to_list() in mm/huge_memory.c.
import { bugOn, type Page, type Sleeps } from "@hetmem/kernel";
import { type MemMap, PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import { unlockPage } from "../page-lock.ts";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import { pageMapped } from "../rmap/mapped-entry.ts";
import { removeMigrationPtes } from "../rmap/remove-migration-ptes.ts";
import { tryToMigrate } from "../rmap/try-to-migrate.ts";
import type { Vm } from "../vm.ts";
import { HPAGE_PMD_NR, totalMapcount } from "./huge-counts.ts";

const { active, dirty, idle, isolated, locked, lru, mlocked, referenced } = PageFlag;
const { swapbacked, unevictable, uptodate, workingset, young } = PageFlag;

/** What each part has from the whole. */
const INHERITED =
  referenced |
  swapbacked |
  mlocked |
  uptodate |
  active |
  workingset |
  locked |
  unevictable |
  dirty |
  young |
  idle |
  isolated;
/** A part's own flags meant nothing, but for one. */
const FORGOTTEN = 0x07ff_ffff & ~PageFlag.hwpoison;

/**
 * Divides a huge page, which the caller has locked and holds one reference on, or has isolated, which is the same.
 * Afterwards he has the head locked, with that reference. If he had isolated the page, each part is isolated, and the
 * reference that this takes is his; otherwise the parts are on their LRU list, and those that nobody maps are gone.
 *
 * @returns false when somebody else holds the page, or it is on its way to be freed: it is as it was
 * @see split_huge_page_to_list()
 */
export function* splitHugePage(vm: Vm, head: Page): Sleeps<boolean> {
  const { memmap } = vm;
  const { allocator } = vm.memory;
  bugOn(!memmap.test(head, locked), `huge page ${head} is divided without its lock`);
  const split = yield* splitMapped(vm, head);
  allocator.countEvent(split ? VmEvent.thp_split_page : VmEvent.thp_split_page_failed, 1);
  return split;
}

function* splitMapped(vm: Vm, head: Page): Sleeps<boolean> {
  const { memmap } = vm;
  if (memmap.test(head, PageFlag.writeback) || (memmap.mapping(head) & MAPPING_ANON) === 0) return false;
  // An anon_vma is sure to be there only as long as somebody maps its pages.
  const anonVma = pageMapped(vm, head) ? vm.anonVmas.of(memmap, head) : undefined;
  if (!anonVma) return false;
  vm.anonVmas.get(anonVma);
  // For writing, since nobody may divide or collapse at the same time, and no mapping may come or go.
  yield* anonVma.rwsem.downWrite();
  const split = yield* splitUnderLock(vm, head);
  anonVma.rwsem.upWrite();
  vm.anonVmas.put(anonVma);
  if (split) dropParts(vm, head);
  return split;
}

function* splitUnderLock(vm: Vm, head: Page): Sleeps<boolean> {
  const { memmap } = vm;
  // Unmapping it in vain would cost everybody a fault.
  if (memmap.refcount(head) !== totalMapcount(memmap, head) + 1) return false;
  yield* tryToMigrate(vm, head);
  const alone = memmap.refcount(head) === 1;
  if (alone) divide(vm, head);
  for (let i = 0; i < (alone ? HPAGE_PMD_NR : 1); i++) {
    const page = (head + i) as Page;
    yield* removeMigrationPtes(vm, page, page);
  }
  return alone;
}

/** Nobody maps the page, and nobody but the caller holds it. @see __split_huge_page() */
function divide(vm: Vm, head: Page): void {
  const { memmap } = vm;
  const listed = memmap.test(head, lru);
  vm.deferredSplits.forget(head);
  vm.charging.split(head, HPAGE_PMD_NR);
  if (listed) vm.lru.remove(head);
  for (let i = 1; i < HPAGE_PMD_NR; i++) makeSmall(memmap, head, i);
  memmap.clear(head, PageFlag.head);
  memmap.setPrivate(head, 0);
  // All of them come to the front of the list; the kernel leaves them where the huge page was.
  if (listed) for (let i = HPAGE_PMD_NR - 1; i >= 0; i--) vm.lru.add((head + i) as Page);
}

/** @see __split_huge_page_tail() */
function makeSmall(memmap: MemMap, head: Page, behind: number): void {
  const part = (head + behind) as Page;
  memmap.clear(part, FORGOTTEN);
  memmap.set(part, memmap.flags(head) & INHERITED);
  memmap.setMapping(part, memmap.mapping(head));
  memmap.setIndex(part, (memmap.index(head) + behind) | 0);
  memmap.setPrivate(part, 0);
  memmap.setRefcount(part, 1);
}

/** The parts behind the head were locked with it, and have a reference that nobody needs unless they are isolated. */
function dropParts(vm: Vm, head: Page): void {
  const { memmap } = vm;
  for (let i = 1; i < HPAGE_PMD_NR; i++) {
    const part = (head + i) as Page;
    unlockPage(memmap, part);
    if (!memmap.test(part, isolated)) vm.pages.put(part);
  }
}
