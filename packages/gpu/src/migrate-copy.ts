// The driver's part of every migration out of device memory: allocates a page of RAM for each migrating page, copies
// by DMA, and drops the new pages when the copy fails. Kernel counterpart: dmirror_devmem_fault_alloc_and_copy() in
// lib/test_hmm.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import { migratePfnToPage, migrates, setMigrateDst } from "@hetmem/hmm-migrate";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import type { Gpu } from "./gpu.ts";

/** The arrays of a migration, by address or by frame. */
export interface MigrateArrays {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
}

/**
 * Allocates a page of RAM for each migrating page and copies its contents. A page with lost contents gets none, and
 * stays.
 *
 * @param near preferred node
 * @returns whether there was memory for all pages
 */
export function* bringToRam(gpu: Gpu, arrays: MigrateArrays, near: NodeId): Sleeps<boolean> {
  const { src, dst, npages } = arrays;
  const { memmap, pages } = gpu.vm;
  let roomy = true;
  for (let i = 0; i < npages; i++) {
    // A hole has MigratePfn.migrate too, but there is no page to migrate back.
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

/** Drops all destination pages, so that the source pages stay. */
export function dropTargets(gpu: Gpu, { dst, npages }: MigrateArrays): void {
  for (let i = 0; i < npages; i++) dropTarget(gpu, dst, i);
}

/** Number of migrated pages, valid after the pages step. @see dmirror_successful_migrated_pages() */
export function pagesMoved({ src, dst, npages }: MigrateArrays): number {
  let moved = 0;
  for (let i = 0; i < npages; i++) if (migrates(src, i) && migratePfnToPage(dst, i) !== NULL_PAGE) moved++;
  return moved;
}

/**
 * Copies all pages except lost ones. The check and the start of the copy are atomic; a reset during the copy fails
 * the copy.
 *
 * @returns whether the copy succeeded
 */
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
