// The mlock count of a page. A page with a locked mapping lies on the unevictable list, and its mlock count says how
// many locked mappings it has. Kernel counterparts: __mlock_page() and __munlock_page() in mm/mlock.c. The kernel
// stores the count in place of the list links; here it is a map that holds only pages with more than one locked
// mapping.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { VmEvent, ZoneStat } from "@hetmem/zone";
import type { Vm } from "../vm.ts";
import type { Vma } from "./vma.ts";
import { VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** By page: locked mappings beyond the first. @see mlock_count */
export type MlockCounts = Map<Page, number>;

const PARTS = PageFlag.head | PageFlag.tail;

/**
 * Locks a page that a mapping has begun to map, if the mapping is locked. Parts of a compound page are skipped.
 *
 * @see mlock_vma_page()
 */
export function mlockVmaPage(page: Page, vma: Vma): void {
  if (isLocked(vma) && !vma.mm.vm.memmap.test(page, PARTS)) mlockPage(vma.mm.vm, page);
}

/** mlockVmaPage() for an entry that maps a whole huge page. */
export function mlockVmaHuge(head: Page, vma: Vma): void {
  if (isLocked(vma)) mlockPage(vma.mm.vm, head);
}

/** Unlocks a page that a mapping no longer maps, if the mapping is locked. @see munlock_vma_page() */
export function munlockVmaPage(page: Page, { flags, mm }: Vma): void {
  if ((flags & VmFlag.LOCKED) !== 0 && !mm.vm.memmap.test(page, PARTS)) munlockPage(mm.vm, page);
}

/** munlockVmaPage() for an entry that mapped a whole huge page. */
export function munlockVmaHuge(head: Page, { flags, mm }: Vma): void {
  if ((flags & VmFlag.LOCKED) !== 0) munlockPage(mm.vm, head);
}

/** Adds a locked mapping to a page or compound page. @see mlock_folio() */
export function mlockPage(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  const head = memmap.compoundHead(page);
  if (!memmap.test(head, PageFlag.mlocked)) {
    memmap.set(head, PageFlag.mlocked);
    countMlocked(vm, head, 1);
    count(vm, head, VmEvent.unevictable_pgs_mlocked);
  }
  if (!memmap.test(head, PageFlag.lru)) return;
  if (memmap.test(head, PageFlag.unevictable)) {
    vm.mlockCounts.set(head, (vm.mlockCounts.get(head) ?? 0) + 1);
    return;
  }
  lru.remove(head);
  memmap.clear(head, PageFlag.active);
  memmap.set(head, PageFlag.unevictable);
  lru.add(head);
  count(vm, head, VmEvent.unevictable_pgs_culled);
}

/** Removes a locked mapping from a page. The last one makes the page evictable. @see munlock_page() */
export function munlockPage(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  const head = memmap.compoundHead(page);
  const listed = memmap.test(head, PageFlag.lru);
  if (listed && decrementMlockCount(vm, head)) return;
  if (memmap.test(head, PageFlag.mlocked)) {
    clearMlocked(vm, head);
    const stranded = !listed && memmap.test(head, PageFlag.unevictable);
    count(vm, head, stranded ? VmEvent.unevictable_pgs_stranded : VmEvent.unevictable_pgs_munlocked);
  }
  if (!listed || !memmap.test(head, PageFlag.unevictable)) return;
  lru.remove(head);
  memmap.clear(head, PageFlag.unevictable);
  lru.add(head);
  count(vm, head, VmEvent.unevictable_pgs_rescued);
}

/** Clears the mlocked state of a page that is being freed. @see __page_cache_release() */
export function clearPageMlocked(vm: Vm, head: Page): void {
  if (!vm.memmap.test(head, PageFlag.mlocked)) return;
  clearMlocked(vm, head);
  count(vm, head, VmEvent.unevictable_pgs_cleared);
}

/** Whether a mapping locks its pages. mlock() sets VM_IO during its walk, and counts the pages itself then. */
function isLocked({ flags }: Vma): boolean {
  return (flags & (VmFlag.LOCKED | VM_SPECIAL)) === VmFlag.LOCKED;
}

function decrementMlockCount({ mlockCounts }: Vm, head: Page): boolean {
  const further = mlockCounts.get(head);
  if (further === undefined) return false;
  if (further === 1) mlockCounts.delete(head);
  else mlockCounts.set(head, further - 1);
  return true;
}

function clearMlocked(vm: Vm, head: Page): void {
  vm.memmap.clear(head, PageFlag.mlocked);
  vm.mlockCounts.delete(head);
  countMlocked(vm, head, -1);
}

function countMlocked({ memmap, memory }: Vm, head: Page, sign: number): void {
  const { stat } = memory.allocator.zoneOf(head);
  const item = ZoneStat.nr_mlock;
  stat[item] = (stat[item] as number) + (sign << memmap.compoundOrder(head));
}

function count({ memmap, memory }: Vm, head: Page, event: number): void {
  memory.allocator.countEvent(event, 1 << memmap.compoundOrder(head));
}
