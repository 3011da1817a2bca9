// What the steps behind collecting work on: the two arrays, and the mapping that the pages were found through, if they
// were found through one.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { type AnonVma, type Vm, type Vma } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Found, MigratePfn, skipBits } from "./migrate-pfn.ts";
import { migrateSkipName, type MigrateSkip, migrateVmaSkip } from "./migrate-skip.ts";

/** What a set is made of. */
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

/** A class, so that all sets look alike to the loops. */
export class PageSet {
  readonly vm: Vm;
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Entries of the arrays. */
  readonly npages: number;
  /** undefined: the pages were found by their frames. */
  readonly vma: Vma | undefined;
  /** Where the first page is mapped, and the first byte behind the last. */
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly pgmapOwner: unknown;
  /** Has one reference more than others: the fault's. NULL_PAGE when there is none. */
  readonly faultPage: Page;
  /** Whether a page was left in place and is to be given back. */
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

/** Where the page of an entry is mapped. */
export function addressOf({ start }: PageSet, i: number): VirtAddr {
  return (start + i * 4096) as VirtAddr;
}

/** A page stays where it is: its entry keeps it until it is mapped again. */
export function leave(set: PageSet, i: number, reason: MigrateSkip): void {
  const { vm, src } = set;
  const at = i << 1;
  set.anyLeft = true;
  src[at | 1] = ((src[at | 1] as number) & ~MigratePfn.migrate) | skipBits(reason);
  tellSkip(vm, i, src[at] as Page, reason);
}

/** Says so to who listens. */
export function tellSkip(vm: Vm, index: number, page: Page, reason: MigrateSkip): void {
  const trace = migrateVmaSkip(vm.kernel);
  if (trace.enabled) trace.emit({ index, page, reason, why: migrateSkipName(reason) });
}

/** While no entry maps an anonymous page, nothing else keeps its anon_vma, which the way back needs. @see folio_get_anon_vma() */
export function holdAnonVma({ vm, src }: PageSet, i: number): void {
  const at = i << 1;
  const anonVma = vm.anonVmas.of(vm.memmap, src[at] as Page);
  if (!anonVma) return;
  vm.anonVmas.get(anonVma);
  src[at | 1] = (src[at | 1] as number) | Found.anonVma;
}

/** The anon_vma that is held for a page, to be put once the page is mapped again. */
export function heldAnonVma({ vm, src }: PageSet, i: number): AnonVma | undefined {
  const at = i << 1;
  return ((src[at | 1] as number) & Found.anonVma) === 0
    ? undefined
    : vm.anonVmas.of(vm.memmap, src[at] as Page);
}

/** A step that is done for one run of pages after another in a plain loop, and for those that it stops at with sleeps. */
export function* inRuns(
  npages: number,
  plain: (from: number) => number,
  other: (i: number) => Sleeps<void>,
): Sleeps<void> {
  for (let i = plain(0); i < npages; i = plain(i + 1)) yield* other(i);
}
