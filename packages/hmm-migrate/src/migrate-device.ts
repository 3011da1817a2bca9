// Migration by frame number, for a driver that evicts its memory and doesn't know the mappings. Kernel counterpart:
// migrate_device_range(), migrate_device_pages(), migrate_device_finalize() and migrate_device_coherent_page() in
// mm/migrate_device.c.
import type { Page, Pfn, Sleeps } from "@hetmem/kernel";
import { lockPage, trylockPage, type Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { GFP_USER } from "@hetmem/zone";
import { DeviceKinds } from "./device-kinds.ts";
import { finalize } from "./finalize.ts";
import { createMigratePfns, MigratePfn, migrates, setMigrateDst, skipBits } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { movePages } from "./move-pages.ts";
import { PageSet, tellSkip } from "./page-set.ts";
import { unmap } from "./unmap.ts";

const MIGRATE_VALID_LOCKED = MigratePfn.valid | MigratePfn.migrate | MigratePfn.locked;

/**
 * Locks and unmaps the pages of a range of device frames, wherever they are mapped. Does the work of
 * migrateVmaSetup() for eviction. Idle pages are skipped.
 *
 * @param src two words per page, filled here
 * @param npages number of frames
 * @returns the number of pages that will migrate
 * @see migrate_device_range()
 */
export function* migrateDeviceRange(vm: Vm, src: Int32Array, start: Pfn, npages: number): Sleeps<number> {
  const { memmap } = vm;
  const kinds = new DeviceKinds(vm);
  for (let i = 0; i < npages; i++) {
    const page = memmap.pfnToPage((start + i) as Pfn);
    kinds.of(page);
    if (memmap.refcount(page) <= kinds.idleCount) skip(vm, src, i, page, MigrateSkip.idle);
    else if (!trylockPage(memmap, page)) skip(vm, src, i, page, MigrateSkip.locked);
    else take(vm, src, i, page);
  }
  return yield* unmap(new PageSet({ vm, src, dst: src, npages }));
}

/**
 * Moves identity, flags and charge of each page of `src` to the page of `dst`.
 *
 * @throws KernelBug for a page of `dst` that isn't locked
 * @see migrate_device_pages()
 */
export function* migrateDevicePages(vm: Vm, src: Int32Array, dst: Int32Array, npages: number): Sleeps<void> {
  yield* movePages(new PageSet({ vm, src, dst, npages }));
}

/**
 * Maps migrated pages at their new place and the others at the old, wherever they were mapped.
 *
 * @see migrate_device_finalize()
 */
export function* migrateDeviceFinalize(
  vm: Vm,
  src: Int32Array,
  dst: Int32Array,
  npages: number,
): Sleeps<void> {
  yield* finalize(new PageSet({ vm, src, dst, npages }));
}

/**
 * Migrates a device coherent page to RAM, before a FOLL_LONGTERM pin. Drops the caller's reference.
 *
 * @returns false when the page stays: it has other references, or there is no memory
 * @see migrate_device_coherent_page()
 */
export function* migrateDeviceCoherentPage(vm: Vm, page: Page): Sleeps<boolean> {
  const { memmap } = vm;
  const [src, dst] = [createMigratePfns(1), createMigratePfns(1)];
  const set = new PageSet({ vm, src, dst, npages: 1 });
  yield* lockPage(memmap, page);
  src[0] = page;
  src[1] = MIGRATE_VALID_LOCKED;
  yield* unmap(set);
  if (!migrates(src, 0)) return false;
  const fresh = vm.pages.tryAlloc(GFP_USER, 0, memmap.nodeOf(page), undefined);
  if (fresh !== NULL_PAGE) {
    trylockPage(memmap, fresh);
    setMigrateDst(dst, 0, fresh);
  }
  yield* movePages(set);
  const moved = migrates(src, 0);
  if (moved) memmap.contents.copy(fresh, page);
  yield* finalize(set);
  return moved;
}

function take({ memmap }: Vm, src: Int32Array, i: number, page: Page): void {
  memmap.getPage(page);
  src[i << 1] = page;
  src[(i << 1) | 1] = MIGRATE_VALID_LOCKED;
}

function skip(vm: Vm, src: Int32Array, i: number, page: Page, reason: MigrateSkip): void {
  src[i << 1] = NULL_PAGE;
  src[(i << 1) | 1] = skipBits(reason);
  tellSkip(vm, i, page, reason);
}
