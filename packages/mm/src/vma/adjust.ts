// Inserting and removing mappings and moving their boundaries. The mapping list, the file's interval tree and the
// anon_vma trees change in one step, under the locks that a reverse mapping walk takes. The mmap lock is held for
// writing throughout. Kernel counterparts: vma_link(), __vma_adjust(), unlink_file_vma() in mm/mmap.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { splitHugeAt } from "../huge/split-huge-at.ts";
import { linkVma } from "./link.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import type { Vma } from "./vma.ts";

/** The new boundaries of a mapping. */
export interface Move {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
}

/**
 * Enters a new mapping and counts its pages.
 *
 * @param kin a mapping whose anonymous pages the new one may get; the new one joins its anon_vmas
 * @see vma_link(), anon_vma_clone()
 */
export function* enterVma(vma: Vma, kin?: Vma): Sleeps<void> {
  const locks = yield* takeRmapLocks(vma, kin?.anonVma);
  linkVma(vma);
  if (kin) vma.mm.vm.anonVmas.clone(vma, kin);
  dropRmapLocks(locks);
}

/**
 * Removes a mapping from the file's interval tree and from its anon_vmas, so that reverse mapping walks no longer
 * find it. The mapping is out of the list already, and its page tables are freed afterwards.
 *
 * @see unlink_anon_vmas(), unlink_file_vma()
 */
export function* unlinkFromRmap(vma: Vma): Sleeps<void> {
  const locks = yield* takeRmapLocks(vma);
  vma.file?.mapping?.iMmap.remove(vma);
  vma.mm.vm.anonVmas.unlink(vma);
  dropRmapLocks(locks);
}

/**
 * Moves the boundaries of neighbours. All of them map one file, or none.
 *
 * @param moves new boundaries; the first mapping is the one that grows or is divided
 * @param removed mappings that others grow over; they are empty afterwards
 * @param inserted a new mapping that gets a part of the first one and may hold its anonymous pages
 * @see __vma_adjust()
 */
export function* adjustVmas(
  moves: readonly [Move, ...Move[]],
  removed: readonly Vma[] = [],
  inserted?: Vma,
): Sleeps<void> {
  const [{ vma: first }, ...others] = moves;
  const { mm } = first;
  // The first mapping may get anonymous pages of the others, so it must join their anon_vma.
  const exporter = [...others.map(({ vma }) => vma), ...removed].find(({ anonVma }) => anonVma);
  for (const { vma, start, end } of moves) {
    if (start !== vma.start) yield* splitHugeAt(vma, start);
    if (end !== vma.end) yield* splitHugeAt(vma, end);
  }
  const locks = yield* takeRmapLocks(first, first.anonVma ?? exporter?.anonVma);
  for (const vma of removed) mm.vmas.remove(vma);
  for (const move of moves) moveBoundaries(move);
  if (inserted) {
    mm.vmas.insert(inserted);
    inserted.file?.mapping?.iMmap.insert(inserted);
    mm.vm.anonVmas.clone(inserted, first);
  }
  if (exporter && !first.anonVma) mm.vm.anonVmas.clone(first, exporter);
  for (const vma of removed) {
    vma.file?.mapping?.iMmap.remove(vma);
    mm.vm.anonVmas.unlink(vma);
  }
  dropRmapLocks(locks);
}

/**
 * Sets the boundaries of a mapping. The interval trees order mappings by boundaries, so the mapping leaves the trees
 * before the change and returns after it. Atomic.
 */
export function moveBoundaries({ vma, start, end }: Move): void {
  const { anonVmas } = vma.mm.vm;
  const tree = vma.file?.mapping?.iMmap;
  anonVmas.takeOut(vma);
  tree?.remove(vma);
  vma.pgoff += (start - vma.start) / 4096;
  vma.start = start;
  vma.end = end;
  tree?.insert(vma);
  anonVmas.putIn(vma);
}
