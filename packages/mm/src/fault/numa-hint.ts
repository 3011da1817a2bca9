// NUMA hinting faults: the scan made the entry inaccessible, and the fault shows which node uses the page. The port
// Promotion decides whether the page migrates; the entry becomes accessible again in any case. Kernel counterpart:
// do_numa_page() in mm/memory.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { entryPage, Pte } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { isOrdinaryPage } from "../rmap/ordinary-page.ts";
import type { FaultContext } from "../vma/vma.ts";
import { entrySame } from "./fault-context.ts";
import type { VmFault } from "./vm-fault.ts";

/** Handles a NUMA hinting fault. The mmap lock is held for reading. @see do_numa_page() */
export function* doNumaPage(fault: FaultContext): Sleeps<VmFault> {
  const { vma, origValue, origFlags } = fault;
  const page = entryPage(origValue);
  if ((origFlags & Pte.special) === 0 && isMigratable(fault, page)) {
    countHintFault(fault, page);
    const { memmap, promotion } = vma.mm.vm;
    const node = promotion.misplaced(vma, page);
    if (node !== undefined) {
      memmap.getPage(page);
      if (yield* promotion.migrateMisplacedPage(vma, page, node)) return 0;
    }
  }
  if (entrySame(fault)) clearProtnone(fault);
  return 0;
}

/** Whether the page can migrate: an ordinary page that is no part of a huge page. */
function isMigratable({ vma }: FaultContext, page: Page): boolean {
  const { vm } = vma.mm;
  return isOrdinaryPage(vm, page) && !vm.memmap.test(page, PageFlag.head | PageFlag.tail);
}

/** @see numa_migrate_prep() */
function countHintFault({ vma: { mm } }: FaultContext, page: Page): void {
  const { memmap, memory } = mm.vm;
  memory.allocator.countEvent(VmEvent.numa_hint_faults, 1);
  if (memmap.nodeOf(page) === mm.node) memory.allocator.countEvent(VmEvent.numa_hint_faults_local, 1);
}

/** Gives the entry back the access that it had before the scan. */
function clearProtnone({ vma, entry, origFlags }: FaultContext): void {
  vma.mm.pageTable.setFlags(entry, (origFlags & ~Pte.protnone) | Pte.accessed);
}
