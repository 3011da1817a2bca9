// A page that a locked mapping maps is kept off the lists that reclaim looks at. How many such mappings there are is
// counted for as long as it lies on the unevictable list. Kernel counterpart: mm/mlock.c (__mlock_page(),
// __munlock_page()). (There the count takes the place of list links; here only pages locked more than once have one.)
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { VmEvent, ZoneStat } from "@hetmem/zone";
import type { Vm } from "../vm.ts";
import type { Vma } from "./vma.ts";
import { VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** Mappings that lock a page, beyond the first. @see mlock_count */
export type MlockCounts = Map<Page, number>;

const PARTS = PageFlag.head | PageFlag.tail;

/** An entry of a mapping maps the page from now on. A part of a huge page isn't locked by itself. @see mlock_vma_page() */
export function mlockVmaPage(page: Page, vma: Vma): void {
  if (isLocked(vma) && !vma.mm.vm.memmap.test(page, PARTS)) mlockPage(vma.mm.vm, page);
}

/** The same for an entry that maps a huge page whole. */
export function mlockVmaHuge(head: Page, vma: Vma): void {
  if (isLocked(vma)) mlockPage(vma.mm.vm, head);
}

/** An entry of a mapping maps the page no longer. @see munlock_vma_page() */
export function munlockVmaPage(page: Page, { flags, mm }: Vma): void {
  if ((flags & VmFlag.LOCKED) !== 0 && !mm.vm.memmap.test(page, PARTS)) munlockPage(mm.vm, page);
}

/** The same for an entry that mapped a huge page whole. */
export function munlockVmaHuge(head: Page, { flags, mm }: Vma): void {
  if ((flags & VmFlag.LOCKED) !== 0) munlockPage(mm.vm, head);
}

/** A page or compound page is locked once more. @see mlock_folio() */
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

/** A page is locked once less; the last time it can be reclaimed again. @see munlock_page() */
export function munlockPage(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  const head = memmap.compoundHead(page);
  const listed = memmap.test(head, PageFlag.lru);
  if (listed && stillLocked(vm, head)) return;
  if (memmap.test(head, PageFlag.mlocked)) {
    forgetMlock(vm, head);
    const stranded = !listed && memmap.test(head, PageFlag.unevictable);
    count(vm, head, stranded ? VmEvent.unevictable_pgs_stranded : VmEvent.unevictable_pgs_munlocked);
  }
  if (!listed || !memmap.test(head, PageFlag.unevictable)) return;
  lru.remove(head);
  memmap.clear(head, PageFlag.unevictable);
  lru.add(head);
  count(vm, head, VmEvent.unevictable_pgs_rescued);
}

/** A locked page is freed. @see __page_cache_release() */
export function clearPageMlocked(vm: Vm, head: Page): void {
  if (!vm.memmap.test(head, PageFlag.mlocked)) return;
  forgetMlock(vm, head);
  count(vm, head, VmEvent.unevictable_pgs_cleared);
}

/** While mlock() walks over a mapping, that is marked special: what it finds is counted by the walk. */
function isLocked({ flags }: Vma): boolean {
  return (flags & (VmFlag.LOCKED | VM_SPECIAL)) === VmFlag.LOCKED;
}

function stillLocked({ mlockCounts }: Vm, head: Page): boolean {
  const further = mlockCounts.get(head);
  if (further === undefined) return false;
  if (further === 1) mlockCounts.delete(head);
  else mlockCounts.set(head, further - 1);
  return true;
}

function forgetMlock(vm: Vm, head: Page): void {
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
