// The first step of mbind(2) and migrate_pages(2): finds the pages of a range that are on a wrong node, and isolates
// them.
// Kernel counterpart: queue_pages_range() in mm/mempolicy.c.
import { condResched, KernelError, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import { isOrdinaryPage, pageMapcount } from "@hetmem/mm/rmap";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { putbackMovablePages } from "./migrate-pages.ts";

/** Flags of mbind(2). @see MPOL_MF_STRICT in include/uapi/linux/mempolicy.h */
export const MbindFlag = {
  /** The call fails if a page is on a wrong node, or stays there. */
  STRICT: 1 << 0,
  /** Pages that only this process maps are migrated. */
  MOVE: 1 << 1,
  /** Pages that other processes map, too, are migrated. */
  MOVE_ALL: 1 << 2,
} as const;

/** The pages to find. */
export interface PageQuery {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  /** Whether a page on a node is to be found. */
  wants(node: NodeId): boolean;
  /** MbindFlag bits. */
  readonly flags: number;
  /** Whether the range may have unmapped parts. */
  readonly holes: "allowed" | "refused";
}

export interface QueuedPages {
  /** Isolated pages, each once, in the order of their addresses. */
  readonly pages: readonly Page[];
  /** Whether a page was found that can't be isolated. STRICT reports it. */
  readonly unmovable: boolean;
}

/**
 * Isolates the pages of a range that a query asks for. The mmap lock is held.
 *
 * @throws KernelError EFAULT for a hole in a range that may have none; EIO if a page is found and the flags don't
 *   allow a move. No page stays isolated then
 * @see queue_pages_range()
 */
export function* queuePagesRange(mm: MmStruct, query: PageQuery): Sleeps<QueuedPages> {
  const queued = { pages: [] as Page[], unmovable: false };
  let first: Vma | undefined;
  try {
    for (const vma of mm.vmas.within(query.start, query.end)) {
      checkHoles(vma, first === undefined, query);
      first ??= vma;
      if (!vmaMigratable(vma) && (query.flags & MbindFlag.STRICT) === 0) continue;
      if (query.flags !== 0) yield* queueVma(vma, query, queued);
    }
    if (first === undefined) throw unmapped(query.start);
  } catch (error) {
    putbackMovablePages(mm.vm, queued.pages);
    throw error;
  }
  return queued;
}

/** Whether pages of a mapping can be migrated. @see vma_migratable() */
export function vmaMigratable(vma: Vma): boolean {
  return (vma.flags & (VmFlag.IO | VmFlag.PFNMAP | VmFlag.HUGETLB)) === 0;
}

/** Calls `visit` for each page that a mapping maps in a range, once for a huge page. Atomic within 2 MiB. */
function* walkMappedPages(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  visit: (page: Page, address: VirtAddr) => void,
): Sleeps<void> {
  const { pageTable } = vma.mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const region = (at - (at % PMD_SIZE)) as VirtAddr;
    const stop = Math.min(end, region + PMD_SIZE) as VirtAddr;
    const pmd = pageTable.findPmd(at);
    const table = pageTable.tableUnder(pmd);
    if (table === NO_ENTRY) {
      if ((pageTable.flags(pmd) & Pte.present) !== 0) visit(entryPage(pageTable.value(pmd)), region);
    } else {
      for (let address = at; address < stop; address = (address + 4096) as VirtAddr) {
        const entry = table + (address - region) / 4096;
        if ((pageTable.flags(entry) & (Pte.present | Pte.special)) === Pte.present)
          visit(entryPage(pageTable.value(entry)), address);
      }
    }
    at = stop;
    yield condResched;
  }
}

/**
 * Checks for unmapped parts before and behind a mapping.
 *
 * @throws KernelError EFAULT
 * @see queue_pages_test_walk()
 */
function checkHoles(vma: Vma, isFirst: boolean, { start, end, holes }: PageQuery): void {
  if (holes === "allowed") return;
  if (isFirst && start < vma.start) throw unmapped(start);
  const next = vma.mm.vmas.after(vma);
  if (vma.end < end && (next === undefined || vma.end < next.start)) throw unmapped(vma.end);
}

/** Isolates the pages of one mapping. @see queue_folios_pte_range() */
function* queueVma(
  vma: Vma,
  query: PageQuery,
  queued: { readonly pages: Page[]; unmovable: boolean },
): Sleeps<void> {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const start = Math.max(query.start, vma.start) as VirtAddr;
  const end = Math.min(query.end, vma.end) as VirtAddr;
  const moves = (query.flags & (MbindFlag.MOVE | MbindFlag.MOVE_ALL)) !== 0;
  yield* walkMappedPages(vma, start, end, (page, address) => {
    const node = memmap.nodeOf(page);
    if (!isOrdinaryPage(vm, page) || !query.wants(node)) return;
    if (!moves) {
      throw new KernelError(
        "EIO",
        `the page at 0x${address.toString(16)} is on node ${node}, where the policy doesn't want it: ask for it to be moved`,
      );
    }
    const head = memmap.compoundHead(page);
    if (queued.pages.at(-1) === head) return;
    if (!vmaMigratable(vma)) queued.unmovable = true;
    // A page that other processes map, too, is moved with MOVE_ALL only.
    else if ((query.flags & MbindFlag.MOVE_ALL) === 0 && pageMapcount(memmap, page) > 1) return;
    else if (vm.lru.isolate(head)) queued.pages.push(head);
    else queued.unmovable = true;
  });
}

function unmapped(address: VirtAddr): KernelError {
  return new KernelError(
    "EFAULT",
    `nothing is mapped at 0x${address.toString(16)}: the range must have no holes`,
  );
}
