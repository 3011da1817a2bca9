// Mappings come, go, and move their boundaries. All of that is one step for everybody else: the list of mappings, the
// file's tree and the anonymous families change together, under the locks that a reverse mapping walk takes. The mmap
// lock is held for writing throughout. Kernel counterparts: vma_link(), __vma_adjust(), unlink_file_vma() in mm/mmap.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { splitHugeAt } from "../huge/split-huge-at.ts";
import { linkVma } from "./link.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import type { Vma } from "./vma.ts";

/** Where a mapping is going to begin and end. */
export interface Move {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
}

/**
 * Enters a new mapping, and counts its pages.
 *
 * @param kin a mapping whose anonymous pages it may get
 * @see vma_link(), anon_vma_clone()
 */
export function* enterVma(vma: Vma, kin?: Vma): Sleeps<void> {
  const locks = yield* takeRmapLocks(vma, kin?.anonVma);
  linkVma(vma);
  if (kin) vma.mm.vm.anonVmas.clone(vma, kin);
  dropRmapLocks(locks);
}

/** Hides a mapping, which no longer is in the list, from reverse mapping walks: before its page tables go. @see unlink_anon_vmas(), unlink_file_vma() */
export function* unlinkFromRmap(vma: Vma): Sleeps<void> {
  const locks = yield* takeRmapLocks(vma);
  vma.file?.mapping?.iMmap.remove(vma);
  vma.mm.vm.anonVmas.unlink(vma);
  dropRmapLocks(locks);
}

/**
 * Moves boundaries between neighbours, which are of one file, or of none.
 *
 * @param moves the first is the mapping that grows, or is divided
 * @param removed mappings that others grow over; nothing is left of them afterwards
 * @param inserted a mapping that takes a part of the first, and may have its anonymous pages
 * @see __vma_adjust()
 */
export function* adjustVmas(
  moves: readonly [Move, ...Move[]],
  removed: readonly Vma[] = [],
  inserted?: Vma,
): Sleeps<void> {
  const [{ vma: first }, ...others] = moves;
  const { mm } = first;
  // Pages of the others may become the first one's: it must have their family then.
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

/** Gives a mapping its new place. The trees keep it by its interval, so it leaves them while that changes. Atomic. */
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
