// The migration of a part of a mapping, in the three steps between which a driver works: setup takes the pages away from
// the process; the driver allocates and copies; pages puts the new ones in the place of the old; finalize gives the
// process back what it has now. Kernel counterpart: mm/migrate_device.c, struct migrate_vma in include/linux/migrate.h.
import { KernelBug, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, VM_SPECIAL, type Vma, VmFlag } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { collect } from "./collect.ts";
import { finalize } from "./finalize.ts";
import { createMigratePfns } from "./migrate-pfn.ts";
import { movePages } from "./move-pages.ts";
import { PageSet } from "./page-set.ts";
import { unmap } from "./unmap.ts";

/** A migration on its way. @see struct migrate_vma */
export interface MigrateVma {
  readonly vma: Vma;
  readonly start: VirtAddr;
  /** First byte behind it. */
  readonly end: VirtAddr;
  /** Two words a page, see migrate-pfn.ts: what setup finds, and what the driver offers for it. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Pages that move, or holes that are filled: where there are none, the driver needn't allocate. */
  cpages: number;
  /** Pages of the range. */
  npages: number;
  /** Whose device memory moves, and who need not hear of it; ANY_OWNER: everybody's. @see 800bb1c8dc80 */
  readonly pgmapOwner: unknown;
  /** MigrateVmaSelect bits. */
  readonly flags: number;
  /** The page that the cpu touched, which the fault holds: `fault.page` of migrateToRam(); else NULL_PAGE. @see 16ce101db85d */
  readonly faultPage: Page;
  /** The last of the three steps that was done. */
  step: "set up" | "moved" | "finalized";
}

/** What a migration is asked for. */
export interface MigrateVmaRequest {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly pgmapOwner: unknown;
  readonly flags: number;
  readonly faultPage?: Page;
}

/** A migration with arrays of its own. Whole pages: the start is rounded down, and so is the end. */
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
 * Collects the pages of the range that can move. Each of them is locked, isolated and mapped by nobody when this returns:
 * its contents don't change, and whoever touches it waits for migrateVmaFinalize(). The others are as they were. The mmap
 * lock is held, for reading at least, from before this to behind migrateVmaFinalize().
 *
 * Then the driver allocates a page for each entry of `src` that says `migrate`, locks it, copies what is in the old one
 * to it, or zeroes it where there is no old page, and names it with setMigrateDst(). It may leave out what it has no
 * room for, but on the way back to RAM: who can't bring a page back answers the fault with SIGBUS.
 *
 * @throws KernelError EINVAL for a range that isn't within the mapping, for mappings of frames, of devices and of hugetlb,
 *   and for a faultPage that isn't a private page of a device; nothing has changed then
 * @throws KernelBug without the mmap lock, and while pages of the setup before have not been finalized
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
 * The pages of `dst` become what those of `src` were, and fill the holes. An entry of `src` that doesn't say `migrate`
 * any more when this returns stays. Until migrateVmaFinalize() nobody sees either, so this is where a driver enters what
 * has moved into its own page table.
 *
 * @throws KernelBug for a page of `dst` that isn't locked, and without a migrateVmaSetup()
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

/** Maps what has moved, and what has not; unlocks both, and gives up the driver's reference on each page of `dst`. @throws KernelBug for what is finalized already @see migrate_vma_finalize() */
export function* migrateVmaFinalize(args: MigrateVma): Sleeps<void> {
  if (args.step === "finalized")
    throw new KernelBug(`pages from 0x${args.start.toString(16)} are finalized twice, or were never set up`);
  yield* finalize(pageSetOf(args));
  args.step = "finalized";
}

function pageSetOf(args: MigrateVma): PageSet {
  return new PageSet({ ...args, vm: args.vma.mm.vm });
}

/** Why nothing can be migrated there. */
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
