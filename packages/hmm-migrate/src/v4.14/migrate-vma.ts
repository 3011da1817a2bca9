// The interface of 4.14: one call, which asks the driver twice in between. It is the three steps of today's with a driver
// that is called instead of calling. Pagemaps had no owner then, so pages of every device move. Kernel counterpart:
// migrate_vma() in mm/migrate.c of 4.14, commit 8763cb45ab96.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { ANY_OWNER, MigrateVmaSelect } from "../migrate-pfn.ts";
import { type MigrateVma, migrateVmaFinalize, migrateVmaPages, migrateVmaSetup } from "../migrate-vma.ts";

/** @see struct migrate_vma_ops */
export interface MigrateVmaOps<T> {
  /**
   * Allocates a page for each entry of `src` that says `migrate`, locks it, copies to it, and names it in `dst`: see
   * migrateVmaSetup().
   */
  allocAndCopy(
    vma: Vma,
    src: Int32Array,
    dst: Int32Array,
    start: VirtAddr,
    end: VirtAddr,
    priv: T,
  ): Sleeps<void>;
  /** Enters what has moved into the device's page table: entries of `src` that still say `migrate`. */
  finalizeAndMap(
    vma: Vma,
    src: Int32Array,
    dst: Int32Array,
    start: VirtAddr,
    end: VirtAddr,
    priv: T,
  ): Sleeps<void>;
}

/** What is migrated. */
export interface MigrateVmaArea {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  /** Two words a page. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Of a driver that answers a fault: the page that the fault holds. 4.14's held none. @see 16ce101db85d */
  readonly faultPage?: Page;
}

const EVERYTHING = MigrateVmaSelect.system | MigrateVmaSelect.devicePrivate | MigrateVmaSelect.deviceCoherent;

/**
 * Migrates what can move of a part of a mapping. The mmap lock is held for reading.
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
  // Nothing to copy: the driver isn't asked.
  if (args.cpages === 0) return;
  yield* ops.allocAndCopy(vma, src, dst, start, end, priv);
  yield* migrateVmaPages(args);
  yield* ops.finalizeAndMap(vma, src, dst, start, end, priv);
  yield* migrateVmaFinalize(args);
}
