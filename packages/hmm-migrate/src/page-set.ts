// The arguments of the steps after collection: the two arrays, and the mapping of the range, if the migration is by
// address and not by frame.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import type { AnonVma } from "@hetmem/mm/rmap";
import { NULL_PAGE } from "@hetmem/page";
import { Found, MigratePfn, skipBits } from "./migrate-pfn.ts";
import { type MigrateSkip, migrateSkipName, migrateVmaSkip } from "./migrate-skip.ts";

/** Arguments of PageSet. */
export interface PageSetInit {
  readonly vm: Vm;
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
  readonly vma?: Vma;
  readonly start?: VirtAddr;
  readonly end?: VirtAddr;
  readonly pgmapOwner?: unknown;
  readonly faultPage?: Page;
}

/** A class, so that all sets have one hidden class and the hot loops stay monomorphic. */
export class PageSet {
  readonly vm: Vm;
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Number of entries of the arrays. */
  readonly npages: number;
  /** undefined for a migration by frame. */
  readonly vma: Vma | undefined;
  /** Address of the first page, and the first byte after the last. */
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly pgmapOwner: unknown;
  /** The page with an extra reference, that of the fault; NULL_PAGE for none. */
  readonly faultPage: Page;
  /** Whether a collected page stays and must be restored. */
  anyLeft = false;

  constructor(init: PageSetInit) {
    this.vm = init.vm;
    this.src = init.src;
    this.dst = init.dst;
    this.npages = init.npages;
    this.vma = init.vma;
    this.start = init.start ?? (0 as VirtAddr);
    this.end = init.end ?? (0 as VirtAddr);
    this.pgmapOwner = init.pgmapOwner;
    this.faultPage = init.faultPage ?? (NULL_PAGE as Page);
  }
}

/** Address of the page of an entry. */
export function addressOf({ start }: PageSet, i: number): VirtAddr {
  return (start + i * 4096) as VirtAddr;
}

/** Marks a collected page as staying. Its entry keeps the page until giveBack() restores it. */
export function leave(set: PageSet, i: number, reason: MigrateSkip): void {
  const { vm, src } = set;
  const at = i << 1;
  set.anyLeft = true;
  src[at | 1] = ((src[at | 1] as number) & ~MigratePfn.migrate) | skipBits(reason);
  tellSkip(vm, i, src[at] as Page, reason);
}

/** Emits the tracepoint. */
export function tellSkip(vm: Vm, index: number, page: Page, reason: MigrateSkip): void {
  const trace = migrateVmaSkip(vm.kernel);
  if (trace.enabled) trace.emit({ index, page, reason, why: migrateSkipName(reason) });
}

/**
 * Takes a reference on an anonymous page's anon_vma, which removing the migration entries needs: an unmapped page
 * doesn't keep it.
 *
 * @see folio_get_anon_vma()
 */
export function holdAnonVma({ vm, src }: PageSet, i: number): void {
  const at = i << 1;
  const anonVma = vm.anonVmas.of(vm.memmap, src[at] as Page);
  if (!anonVma) return;
  vm.anonVmas.get(anonVma);
  src[at | 1] = (src[at | 1] as number) | Found.anonVma;
}

/** The anon_vma held for a page, to be put when the page is mapped again. */
export function heldAnonVma({ vm, src }: PageSet, i: number): AnonVma | undefined {
  const at = i << 1;
  return ((src[at | 1] as number) & Found.anonVma) === 0
    ? undefined
    : vm.anonVmas.of(vm.memmap, src[at] as Page);
}

/**
 * Runs a step: `plain` handles runs of pages without sleeping and returns the index where it stopped; `other` handles
 * that page and may sleep.
 */
export function* inRuns(
  npages: number,
  plain: (from: number) => number,
  other: (i: number) => Sleeps<void>,
): Sleeps<void> {
  for (let i = plain(0); i < npages; i = plain(i + 1)) yield* other(i);
}
