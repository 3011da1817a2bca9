// A huge page at fork: parent and child map it whole, and both lose the right to write. One that is pinned is mapped in
// parts from then on, which are copied as small pages are. Kernel counterpart: copy_huge_pmd() in mm/huge_memory.c.
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
 * Maps the parent's huge page in the child too, or divides its entry so that small pages are copied. The caller has
 * announced the parent's range, and looks at what the entry is afterwards.
 *
 * @throws KernelError ENOMEM when there is no memory for the child's page tables
 */
export function* copyHugePmd(to: Vma, from: Vma, address: VirtAddr): Sleeps<void> {
  // A fault maps a device's memory in the child, if it is wanted.
  if (!from.anonymous) return;
  const { mm: child } = to;
  const target = yield* ensureTables(child, address);
  const { mm: parent } = from;
  const source = hugePmd(parent.pageTable, address);
  // Somebody has divided it while there was no memory: the rest is the caller's.
  if (source === NO_ENTRY) return child.pageTable.freeDeposited();
  if (isPinned(parent, entryPage(parent.pageTable.value(source)))) {
    child.pageTable.freeDeposited();
    yield* splitHugePmd(from, address);
    return;
  }
  share(child, target, parent, source);
}

/** Tables down to the entry that maps 2 MiB, and one that is put by for it. @returns the entry */
function* ensureTables(mm: MmStruct, address: VirtAddr): Sleeps<number> {
  const { pageTable, vm } = mm;
  for (let turn = 0; turn < TABLE_TURNS_MAX; turn++) {
    const pmd = pageTable.ensurePmd(address);
    if (pmd !== NO_ENTRY && pageTable.deposit()) return pmd;
    // One page that waited for reclaim makes room for the table that can't.
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

function share(child: MmStruct, target: number, parent: MmStruct, source: number): void {
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
