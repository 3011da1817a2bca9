// An entry that was made inaccessible to learn who uses the page: now we know. Kernel counterpart: do_numa_page() in
// mm/memory.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { entryPage, Pte } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { mpolMisplaced } from "../policy/misplaced.ts";
import { isOrdinaryPage } from "../rmap/ordinary-page.ts";
import type { FaultContext } from "../vma/vma.ts";
import { entrySame } from "./fault-context.ts";
import type { VmFault } from "./vm-fault.ts";

/** mmap lock held for reading. @see do_numa_page() */
export function* doNumaPage(fault: FaultContext): Sleeps<VmFault> {
  const { vma, origValue, origFlags } = fault;
  const page = entryPage(origValue);
  if ((origFlags & Pte.special) === 0 && isMovableAlone(fault, page)) {
    countHintFault(fault, page);
    const node = mpolMisplaced(vma, page);
    if (node !== undefined) {
      vma.mm.vm.memmap.getPage(page);
      if (yield* vma.mm.vm.migrateMisplacedPage(vma, page, node)) return 0;
    }
  }
  if (entrySame(fault)) makeAccessible(fault);
  return 0;
}

/** A part of a huge page stays with the others. */
function isMovableAlone({ vma }: FaultContext, page: Page): boolean {
  const { vm } = vma.mm;
  return isOrdinaryPage(vm, page) && !vm.memmap.test(page, PageFlag.head | PageFlag.tail);
}

/** @see numa_migrate_prep() */
function countHintFault({ vma: { mm } }: FaultContext, page: Page): void {
  const { memmap, memory } = mm.vm;
  memory.allocator.countEvent(VmEvent.numa_hint_faults, 1);
  if (memmap.nodeOf(page) === mm.node) memory.allocator.countEvent(VmEvent.numa_hint_faults_local, 1);
}

/** The entry as it was before the scan, whatever it allowed. */
function makeAccessible({ vma, entry, origFlags }: FaultContext): void {
  vma.mm.pageTable.setFlags(entry, (origFlags & ~Pte.protnone) | Pte.accessed);
}
