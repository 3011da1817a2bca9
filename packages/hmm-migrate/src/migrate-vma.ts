// Migration of a part of a mapping in three steps. Setup isolates and unmaps the pages; then the driver allocates and
// copies. Pages replaces the old pages by the new ones. Finalize maps the result. Kernel counterpart:
// mm/migrate_device.c, struct migrate_vma in include/linux/migrate.h.
import { KernelBug, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, VM_SPECIAL, type Vma, VmFlag } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { collect } from "./collect.ts";
import { finalize } from "./finalize.ts";
import { createMigratePfns } from "./migrate-pfn.ts";
import { movePages } from "./move-pages.ts";
import { PageSet } from "./page-set.ts";
import { unmap } from "./unmap.ts";

/** The state of a migration. @see struct migrate_vma */
export interface MigrateVma {
  readonly vma: Vma;
  readonly start: VirtAddr;
  /** First byte after the range. */
  readonly end: VirtAddr;
  /** Two words per page, see migrate-pfn.ts. Setup fills `src`; the driver fills `dst`. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Number of pages that migrate and holes that are filled. When 0 the driver needn't continue. */
  cpages: number;
  /** Number of pages of the range. */
  npages: number;
  /**
   * Owner of the device memory to migrate. Notifiers of this owner may ignore the invalidation. ANY_OWNER selects all
   * owners.
   *
   * @see 800bb1c8dc80
   */
  readonly pgmapOwner: unknown;
  /** MigrateVmaSelect bits. */
  readonly flags: number;
  /**
   * The page of a cpu fault, on which the fault holds a reference: `fault.page` in migrateToRam(); else NULL_PAGE.
   *
   * @see 16ce101db85d
   */
  readonly faultPage: Page;
  /** The last completed step. */
  step: "set up" | "moved" | "finalized";
}

/** Arguments of createMigrateVma(). */
export interface MigrateVmaRequest {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly pgmapOwner: unknown;
  readonly flags: number;
  readonly faultPage?: Page;
}

/** Creates a migration with new arrays. Start and end are rounded down to whole pages. */
export function createMigrateVma({
  faultPage = NULL_PAGE as Page,
  ...request
}: MigrateVmaRequest): MigrateVma {
  const start = (request.start - (request.start % 4096)) as VirtAddr;
  const end = (request.end - (request.end % 4096)) as VirtAddr;
  const npages = Math.max(0, (end - start) / 4096);
  const [src, dst] = [createMigratePfns(npages), createMigratePfns(npages)];
  return { ...request, start, end, faultPage, src, dst, cpages: 0, npages, step: "finalized" };
}

/**
 * Collects the pages of the range that can migrate. On return each of them is locked, isolated and unmapped: its
 * contents don't change, and an access to it waits for migrateVmaFinalize(). Other pages are unchanged. The mmap lock
 * is held, at least for reading, from before this call until after migrateVmaFinalize().
 *
 * Then the driver allocates a page for each entry of `src` with MigratePfn.migrate, locks it, copies the old page to
 * it or zeroes it for a hole, and calls setMigrateDst(). The driver may skip entries. In a cpu fault a driver that
 * can't migrate the faulting page to RAM returns VmFault.SIGBUS.
 *
 * @throws KernelError EINVAL for a range that isn't inside the mapping, for special and hugetlb mappings, and for a
 * faultPage that isn't a device private page; nothing has changed then
 * @throws KernelBug without the mmap lock, and while the pages of the previous setup aren't finalized
 * @see migrate_vma_setup() in mm/migrate_device.c
 */
export function* migrateVmaSetup(args: MigrateVma): Sleeps<void> {
  mmapAssertLocked(args.vma.mm, "is migrated");
  if (args.step !== "finalized" && args.cpages > 0)
    throw new KernelBug(
      `${args.cpages} pages from 0x${args.start.toString(16)} were never finalized, and are set up again`,
    );
  const refusal = refusalOf(args);
  if (refusal !== undefined) throw new KernelError("EINVAL", refusal);
  args.src.fill(0);
  args.dst.fill(0);
  args.cpages = 0;
  yield* collect(args);
  args.cpages = yield* unmap(pageSetOf(args));
  args.step = "set up";
}

/**
 * Moves identity, flags and charge of each page of `src` to the page of `dst`, and fills holes. A page that can't be
 * replaced loses MigratePfn.migrate in `src` and stays. Neither page is accessible until migrateVmaFinalize(), so the
 * driver updates its device page table after this call.
 *
 * @throws KernelBug for a page of `dst` that isn't locked, and without a preceding migrateVmaSetup()
 * @see migrate_vma_pages()
 */
export function* migrateVmaPages(args: MigrateVma): Sleeps<void> {
  if (args.step !== "set up")
    throw new KernelBug(
      `pages from 0x${args.start.toString(16)} are moved, and the last step has ${args.step} them`,
    );
  yield* movePages(pageSetOf(args));
  args.step = "moved";
}

/**
 * Maps migrated pages at their new place and the others at the old, unlocks all, and drops the driver's reference on
 * each page of `dst`.
 *
 * @throws KernelBug when the migration is finalized already
 * @see migrate_vma_finalize()
 */
export function* migrateVmaFinalize(args: MigrateVma): Sleeps<void> {
  if (args.step === "finalized")
    throw new KernelBug(`pages from 0x${args.start.toString(16)} are finalized twice, or were never set up`);
  yield* finalize(pageSetOf(args));
  args.step = "finalized";
}

function pageSetOf(args: MigrateVma): PageSet {
  return new PageSet({ ...args, vm: args.vma.mm.vm });
}

/** The reason why the whole range can't be migrated; undefined for none. */
function refusalOf({ vma, start, end, src, dst, faultPage }: MigrateVma): string | undefined {
  const range = `0x${start.toString(16)}-0x${end.toString(16)}`;
  if ((vma.flags & (VM_SPECIAL | VmFlag.HUGETLB)) !== 0)
    return `${range} is a mapping whose pages nobody moves: of frames, a device's, or hugetlb`;
  if (end <= start) return `${range} has no page to migrate`;
  if (start < vma.start || end > vma.end)
    return `${range} reaches out of the mapping 0x${vma.start.toString(16)}-0x${vma.end.toString(16)}: migrate mapping by mapping`;
  const words = ((end - start) / 4096) * 2;
  if (src.length < words || dst.length < words) return `${range} needs arrays of ${words} words`;
  if (faultPage !== NULL_PAGE && !vma.mm.vm.devices.isPrivate(faultPage))
    return `page ${faultPage} can't be what the cpu faulted on: it is no private page of a device`;
  return undefined;
}
