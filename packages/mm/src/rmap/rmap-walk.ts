// From a page to the mappings that may hold it: those of its anon_vma, or those of its file, which know the page by its
// offset. The rmap lock is held for reading meanwhile, so that no mapping comes, goes or moves. Kernel counterpart:
// rmap_walk() in mm/rmap.c.
import { condResched, type Page, type RwSemaphore, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { IntervalTree } from "@hetmem/kernel/lib";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";
import { type AnonVma, MAPPING_ANON, PGOFF_WINDOW } from "./anon-vma.ts";

/**
 * What is done about one mapping that may hold the page.
 *
 * @param address where its first page would be; of a compound page, that may be before the mapping's start
 * @returns whether to go on
 */
export type RmapOne = (vma: Vma, address: VirtAddr) => Sleeps<boolean>;

/**
 * Visits every mapping that may hold a page or compound page, children of a fork behind their parents. Waits for the
 * rmap lock, unless the caller holds it for writing.
 *
 * @see rmap_walk(), rmap_walk_locked()
 */
export function* rmapWalk(vm: Vm, page: Page, one: RmapOne): Sleeps<void> {
  const head = vm.memmap.compoundHead(page);
  if ((vm.memmap.mapping(head) & MAPPING_ANON) !== 0) {
    const anonVma = yield* lockAnonVma(vm, head);
    if (anonVma) yield* walkLocked(vm, head, one, anonVma.rwsem);
    return;
  }
  const lock = vm.mappings.of(vm.memmap, head)?.iMmapRwsem;
  if (!lock) return;
  if (!lock.writtenByCurrent && !lock.tryDownRead()) yield* lock.downRead();
  yield* walkLocked(vm, head, one, lock);
}

/**
 * The same if the rmap lock can be had at once.
 *
 * @returns false when it can't, and nothing was visited
 * @see rmap_walk_control.try_lock
 */
export function* tryRmapWalk(vm: Vm, page: Page, one: RmapOne): Sleeps<boolean> {
  const head = vm.memmap.compoundHead(page);
  const lock = rmapLock(vm, head);
  if (!lock) return true;
  if (!lock.writtenByCurrent && !lock.tryDownRead()) return false;
  yield* walkLocked(vm, head, one, lock);
  return true;
}

/** Pages of the compound page whose head this is, 1 for any other. */
export function unitPages(vm: Vm, head: Page): number {
  return 1 << vm.memmap.compoundOrder(head);
}

/** The lock that keeps the mappings of a page in place; undefined for a page that no mapping can hold. */
export function rmapLock(vm: Vm, head: Page): RwSemaphore | undefined {
  const anon = (vm.memmap.mapping(head) & MAPPING_ANON) !== 0;
  return anon ? vm.anonVmas.of(vm.memmap, head)?.rwsem : vm.mappings.of(vm.memmap, head)?.iMmapRwsem;
}

/** The page may go to another anon_vma while we wait: that of the one process that still has it. @see folio_lock_anon_vma_read() */
function* lockAnonVma(vm: Vm, head: Page): Sleeps<AnonVma | undefined> {
  // Ends: a page goes to another anon_vma once, to that of the one process that still has it.
  for (;;) {
    const anonVma = vm.anonVmas.of(vm.memmap, head);
    if (!anonVma || anonVma.rwsem.writtenByCurrent || anonVma.rwsem.tryDownRead()) return anonVma;
    yield* anonVma.rwsem.downRead();
    if (vm.anonVmas.of(vm.memmap, head) === anonVma) return anonVma;
    anonVma.rwsem.upRead();
  }
}

/** @param lock held; given back unless the caller holds it for writing */
function* walkLocked(vm: Vm, head: Page, one: RmapOne, lock: RwSemaphore): Sleeps<void> {
  const anonVma = vm.anonVmas.of(vm.memmap, head);
  const index = vm.memmap.index(head) >>> 0;
  try {
    if (!anonVma) {
      const mapping = vm.mappings.of(vm.memmap, head);
      if (mapping) yield* walkTree(mapping.iMmap, index, unitPages(vm, head), one);
      return;
    }
    for (let window = anonVma.firstWindow; window <= anonVma.lastWindow; window++) {
      const pgoff = window * PGOFF_WINDOW + index;
      if (!(yield* walkTree(anonVma.mappings, pgoff, unitPages(vm, head), one))) return;
    }
  } finally {
    if (!lock.writtenByCurrent) lock.upRead();
  }
}

/** @returns whether to go on */
function* walkTree(tree: IntervalTree<Vma>, pgoff: number, pages: number, one: RmapOne): Sleeps<boolean> {
  let visited = 0;
  for (const vma of tree.overlapping(pgoff, pgoff + pages - 1)) {
    if (visited++ > 0) yield condResched;
    if (!(yield* one(vma, vma.addressOf(pgoff)))) return false;
  }
  return true;
}
