// What the driver does between the steps of any migration out of the device's memory, whoever began it: a page of RAM for
// each that moves, a copy by the device, and all of it undone when the copy has failed. Kernel counterpart:
// dmirror_devmem_fault_alloc_and_copy() in lib/test_hmm.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import { migratePfnToPage, migrates, setMigrateDst } from "@hetmem/hmm-migrate";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import type { Gpu } from "./gpu.ts";

/** The arrays of a migration, with or without a mapping. */
export interface MigrateArrays {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
}

/**
 * Gives each page that moves a page of RAM, with a copy of what is in it. A page whose contents are lost gets none, and stays.
 *
 * @returns whether there was RAM for all of them
 */
export function* bringToRam(gpu: Gpu, arrays: MigrateArrays, near: NodeId): Sleeps<boolean> {
  const { src, dst, npages } = arrays;
  const { memmap, pages } = gpu.vm;
  let roomy = true;
  for (let i = 0; i < npages; i++) {
    // A hole counts as something that could move, and holds nothing that could come back.
    if (!migrates(src, i) || migratePfnToPage(src, i) === NULL_PAGE) continue;
    const target = yield* pages.alloc(GFP_HIGHUSER_MOVABLE, 0, near, undefined);
    if (target === NULL_PAGE) {
      roomy = false;
      continue;
    }
    memmap.set(target, PageFlag.locked);
    setMigrateDst(dst, i, target);
  }
  if (!(yield* copyToRam(gpu, arrays))) dropTargets(gpu, arrays);
  return roomy;
}

/** Gives destination pages back, so that the pages they were for stay. */
export function dropTargets(gpu: Gpu, { dst, npages }: MigrateArrays): void {
  for (let i = 0; i < npages; i++) dropTarget(gpu, dst, i);
}

/** Pages that have moved, once the new ones are in their place. @see dmirror_successful_migrated_pages() */
export function pagesMoved({ src, dst, npages }: MigrateArrays): number {
  let moved = 0;
  for (let i = 0; i < npages; i++) if (migrates(src, i) && migratePfnToPage(dst, i) !== NULL_PAGE) moved++;
  return moved;
}

/** What is lost is found out and the copy begun in one go: from then on the copy itself knows. @returns whether it has worked */
function* copyToRam(gpu: Gpu, { src, dst, npages }: MigrateArrays): Sleeps<boolean> {
  const { dma, memory } = gpu;
  const from = new Int32Array(npages);
  const to = new Int32Array(npages);
  let count = 0;
  for (let i = 0; i < npages; i++) {
    const target = migratePfnToPage(dst, i);
    if (target === NULL_PAGE) continue;
    const page = migratePfnToPage(src, i);
    if (memory.isLost(page)) {
      dropTarget(gpu, dst, i);
      continue;
    }
    from[count] = page;
    to[count++] = target;
  }
  return yield* dma.copy(to, from, count);
}

function dropTarget({ vm: { memmap } }: Gpu, dst: Int32Array, i: number): void {
  const target = migratePfnToPage(dst, i);
  if (target === NULL_PAGE) return;
  dst[i << 1] = NULL_PAGE;
  dst[(i << 1) | 1] = 0;
  memmap.clear(target, PageFlag.locked);
  memmap.putPage(target);
}
