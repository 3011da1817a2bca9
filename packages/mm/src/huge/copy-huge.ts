// Copying a huge entry in fork(): parent and child share the page, read-only. The entry of a pinned page is split,
// and its small pages are copied, because the pinned page must stay with the parent. Kernel counterpart:
// copy_huge_pmd() in mm/huge_memory.c.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, Pte, TABLE_TURNS_MAX } from "@hetmem/page-table";
import { GFP_KERNEL } from "@hetmem/zone";
import { pageMaybeDmaPinned } from "../faultin/pin-count.ts";
import { type MmStruct, Rss } from "../mm-struct.ts";
import type { Vma } from "../vma/vma.ts";
import { HPAGE_PMD_NR, hugeDupRmap } from "./huge-counts.ts";
import { hugePmd, splitHugePmd } from "./split-pmd.ts";

/**
 * Maps the parent's huge page in the child, or splits the parent's entry, after which the caller copies the small
 * entries. The caller has notified the parent's range.
 *
 * @throws KernelError ENOMEM when there is no memory for the child's page tables
 */
export function* copyHugePmd(to: Vma, from: Vma, address: VirtAddr): Sleeps<void> {
  // A fault in the child maps the memory of a device again.
  if (!from.anonymous) return;
  const { mm: child } = to;
  const target = yield* ensureTables(child, address);
  const { mm: parent } = from;
  const source = hugePmd(parent.pageTable, address);
  // The entry was split during the allocation: the caller copies small entries.
  if (source === NO_ENTRY) return child.pageTable.freeDeposited();
  if (isPinned(parent, entryPage(parent.pageTable.value(source)))) {
    child.pageTable.freeDeposited();
    yield* splitHugePmd(from, address);
    return;
  }
  dupHugeEntry(child, target, parent, source);
}

/** Makes the tables down to the huge entry of an address, and deposits one for its split. @returns the entry */
function* ensureTables(mm: MmStruct, address: VirtAddr): Sleeps<number> {
  const { pageTable, vm } = mm;
  for (let turn = 0; turn < TABLE_TURNS_MAX; turn++) {
    const pmd = pageTable.ensurePmd(address);
    if (pmd !== NO_ENTRY && pageTable.deposit()) return pmd;
    // The table's allocation is atomic. Allocating and freeing a page with reclaim makes room for it.
    const page = yield* vm.pages.alloc(GFP_KERNEL, 0, mm.node, mm);
    if (page === NULL_PAGE) break;
    vm.memmap.putPage(page);
  }
  throw new KernelError("ENOMEM", "no memory for the child's page tables: the process can't fork");
}

/** @see page_try_dup_anon_rmap() */
function isPinned({ vm, hasPinned }: MmStruct, head: Page): boolean {
  return vm.memmap.test(head, PageFlag.anonExclusive) && hasPinned && pageMaybeDmaPinned(vm, head);
}

function dupHugeEntry(child: MmStruct, target: number, parent: MmStruct, source: number): void {
  const { pageTable, vm } = parent;
  const { memmap } = vm;
  const head = entryPage(pageTable.value(source));
  const flags = pageTable.flags(source) & ~Pte.write;
  memmap.getPage(head);
  memmap.clear(head, PageFlag.anonExclusive);
  hugeDupRmap(vm, head);
  child.rss[Rss.anon] = (child.rss[Rss.anon] as number) + HPAGE_PMD_NR;
  pageTable.setFlags(source, flags);
  child.pageTable.set(target, head, flags & ~Pte.accessed);
}
