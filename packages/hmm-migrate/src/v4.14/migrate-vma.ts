// The interface of 4.14: one call with two callbacks to the driver, around the same three steps. Pagemaps had no
// owner then, so pages of every device migrate. Kernel counterpart: migrate_vma() in mm/migrate.c of 4.14, commit
// 8763cb45ab96.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { ANY_OWNER, MigrateVmaSelect } from "../migrate-pfn.ts";
import { type MigrateVma, migrateVmaFinalize, migrateVmaPages, migrateVmaSetup } from "../migrate-vma.ts";

/** @see struct migrate_vma_ops */
export interface MigrateVmaOps<T> {
  /**
   * Allocates a page for each entry of `src` with MigratePfn.migrate, locks it, copies to it, and sets it in `dst`:
   * see migrateVmaSetup().
   */
  allocAndCopy(
    vma: Vma,
    src: Int32Array,
    dst: Int32Array,
    start: VirtAddr,
    end: VirtAddr,
    priv: T,
  ): Sleeps<void>;
  /** Updates the device's page table for the entries of `src` that still have MigratePfn.migrate. */
  finalizeAndMap(
    vma: Vma,
    src: Int32Array,
    dst: Int32Array,
    start: VirtAddr,
    end: VirtAddr,
    priv: T,
  ): Sleeps<void>;
}

/** The range to migrate, and the arrays. */
export interface MigrateVmaArea {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  /** Two words per page. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** In a cpu fault: the page on which the fault holds a reference. 4.14's fault held none. @see 16ce101db85d */
  readonly faultPage?: Page;
}

const EVERYTHING = MigrateVmaSelect.system | MigrateVmaSelect.devicePrivate | MigrateVmaSelect.deviceCoherent;

/**
 * Migrates the pages of a part of a mapping that can migrate. The mmap lock is held for reading.
 *
 * @param priv passed to the callbacks
 *
 * @throws KernelError EINVAL as migrateVmaSetup()
 * @see migrate_vma() in mm/migrate.c of 4.14
 */
export function* migrateVma<T>(ops: MigrateVmaOps<T>, area: MigrateVmaArea, priv: T): Sleeps<void> {
  const { vma, start, end, src, dst, faultPage = NULL_PAGE as Page } = area;
  if (start % 4096 !== 0 || end % 4096 !== 0)
    throw new KernelError("EINVAL", `0x${start.toString(16)}-0x${end.toString(16)} isn't whole pages`);
  const npages = (end - start) / 4096;
  const args: MigrateVma = {
    vma,
    start,
    end,
    src,
    dst,
    cpages: 0,
    npages,
    pgmapOwner: ANY_OWNER,
    flags: EVERYTHING,
    faultPage,
    step: "finalized",
  };
  yield* migrateVmaSetup(args);
  // Nothing migrates: the callbacks aren't called.
  if (args.cpages === 0) return;
  yield* ops.allocAndCopy(vma, src, dst, start, end, priv);
  yield* migrateVmaPages(args);
  yield* ops.finalizeAndMap(vma, src, dst, start, end, priv);
  yield* migrateVmaFinalize(args);
}
