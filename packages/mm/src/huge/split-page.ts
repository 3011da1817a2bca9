// Splitting a huge page into 512 small pages, each with its own refcount, owner and place on an LRU list. No
// reference may exist but those of the entries and the caller. The entries are migration entries during the split,
// and an access to the page sleeps. Kernel counterpart: split_huge_page_to_list() in mm/huge_memory.c.
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

/** Page flags that each part copies from the head. */
const COPIED_FROM_HEAD =
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
/** All 27 bits of page flags but hwpoison, the only one that is kept for a part. The bits above are no flags. */
const CLEARED_IN_PARTS = 0x07ff_ffff & ~PageFlag.hwpoison;

/**
 * Splits a huge page. The caller has it locked and either holds a reference or has isolated it. Afterwards the head
 * is still locked and referenced by the caller. If the page was isolated, each part is isolated and its reference
 * belongs to the caller. Otherwise the parts are on their LRU list, and unmapped parts are freed.
 *
 * @returns false when there are further references, and then the page is unchanged
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
  // The anon_vma is known to exist only while an entry maps the page.
  const anonVma = pageMapped(vm, head) ? vm.anonVmas.of(memmap, head) : undefined;
  if (!anonVma) return false;
  vm.anonVmas.get(anonVma);
  // For writing: no other split or collapse may run, and no mapping may be added or removed.
  yield* anonVma.rwsem.downWrite();
  const split = yield* splitUnderLock(vm, head);
  anonVma.rwsem.upWrite();
  vm.anonVmas.put(anonVma);
  if (split) putTails(vm, head);
  return split;
}

function* splitUnderLock(vm: Vm, head: Page): Sleeps<boolean> {
  const { memmap } = vm;
  // Checked before unmapping, because an unsuccessful split costs every process a fault.
  if (memmap.refcount(head) !== totalMapcount(memmap, head) + 1) return false;
  yield* tryToMigrate(vm, head);
  const unmapped = memmap.refcount(head) === 1;
  if (unmapped) splitUnmappedPage(vm, head);
  for (let i = 0; i < (unmapped ? HPAGE_PMD_NR : 1); i++) {
    const page = (head + i) as Page;
    yield* removeMigrationPtes(vm, page, page);
  }
  return unmapped;
}

/** Makes small pages of a page that is unmapped and referenced by the caller only. @see __split_huge_page() */
function splitUnmappedPage(vm: Vm, head: Page): void {
  const { memmap } = vm;
  const listed = memmap.test(head, lru);
  vm.deferredSplits.forget(head);
  vm.charging.split(head, HPAGE_PMD_NR);
  if (listed) vm.lru.remove(head);
  for (let i = 1; i < HPAGE_PMD_NR; i++) splitHugePageTail(memmap, head, i);
  memmap.clear(head, PageFlag.head);
  memmap.setPrivate(head, 0);
  // The parts go to the front of the LRU list. In the kernel they keep the place of the huge page.
  if (listed) for (let i = HPAGE_PMD_NR - 1; i >= 0; i--) vm.lru.add((head + i) as Page);
}

/** Initialises the struct page of one part. @see __split_huge_page_tail() */
function splitHugePageTail(memmap: MemMap, head: Page, index: number): void {
  const part = (head + index) as Page;
  memmap.clear(part, CLEARED_IN_PARTS);
  memmap.set(part, memmap.flags(head) & COPIED_FROM_HEAD);
  memmap.setMapping(part, memmap.mapping(head));
  memmap.setIndex(part, (memmap.index(head) + index) | 0);
  memmap.setPrivate(part, 0);
  memmap.setRefcount(part, 1);
}

/** Unlocks the parts after the head. Drops their references, unless they are isolated. */
function putTails(vm: Vm, head: Page): void {
  const { memmap } = vm;
  for (let i = 1; i < HPAGE_PMD_NR; i++) {
    const part = (head + i) as Page;
    unlockPage(memmap, part);
    if (!memmap.test(part, isolated)) vm.pages.put(part);
  }
}
