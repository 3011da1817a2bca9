// The walk from a page to the mappings that may map it, by its page offset: those of its anon_vma, or those of its
// file. The rmap lock is held for reading during the walk, so that no mapping is added, removed or moved. Kernel
// counterpart: rmap_walk() in mm/rmap.c.
import { condResched, type Page, type RwSemaphore, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { IntervalTree } from "@hetmem/kernel/lib";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";
import { type AnonVma, MAPPING_ANON, PGOFF_WINDOW } from "./anon-vma.ts";

/**
 * Visits one mapping that may map the page.
 *
 * @param address where the page would be mapped; of a compound page the first page, which may lie before the mapping
 * @returns whether to continue
 */
export type RmapOne = (vma: Vma, address: VirtAddr) => Sleeps<boolean>;

/**
 * Visits every mapping that may map a page or compound page, parents before the children of a fork. Waits for the
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
 * rmapWalk() without waiting for the rmap lock.
 *
 * @returns false when the lock isn't free, and then no mapping was visited
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

/** Number of pages of a compound page; 1 for a small page. */
export function unitPages(vm: Vm, head: Page): number {
  return 1 << vm.memmap.compoundOrder(head);
}

/** The lock of a page's reverse mapping; undefined for a page that no mapping can map. */
function rmapLock(vm: Vm, head: Page): RwSemaphore | undefined {
  const anon = (vm.memmap.mapping(head) & MAPPING_ANON) !== 0;
  return anon ? vm.anonVmas.of(vm.memmap, head)?.rwsem : vm.mappings.of(vm.memmap, head)?.iMmapRwsem;
}

/**
 * Locks the anon_vma of a page. During the wait the page may become exclusive to a process and move to its anon_vma.
 *
 * @see folio_lock_anon_vma_read()
 */
function* lockAnonVma(vm: Vm, head: Page): Sleeps<AnonVma | undefined> {
  // Ends: a page changes its anon_vma at most once, when it becomes exclusive to one process.
  for (;;) {
    const anonVma = vm.anonVmas.of(vm.memmap, head);
    if (!anonVma || anonVma.rwsem.writtenByCurrent || anonVma.rwsem.tryDownRead()) return anonVma;
    yield* anonVma.rwsem.downRead();
    if (vm.anonVmas.of(vm.memmap, head) === anonVma) return anonVma;
    anonVma.rwsem.upRead();
  }
}

/** Walks with the lock held. @param lock released at the end, unless the caller holds it for writing */
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

/** Visits the mappings of one tree. @returns whether to continue */
function* walkTree(tree: IntervalTree<Vma>, pgoff: number, pages: number, one: RmapOne): Sleeps<boolean> {
  let visited = 0;
  for (const vma of tree.overlapping(pgoff, pgoff + pages - 1)) {
    if (visited++ > 0) yield condResched;
    if (!(yield* one(vma, vma.addressOf(pgoff)))) return false;
  }
  return true;
}
