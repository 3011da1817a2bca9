// The end of a write fault that needs no copy: the entry becomes writable and dirty. Shared pages come here after
// page_mkwrite(), private ones when they are exclusive to the process. Kernel counterpart: wp_page_reuse() in
// mm/memory.c.
import { Pte } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { VmFlag } from "../vma/vm-flags.ts";
import type { FaultContext } from "../vma/vma.ts";

/** Makes an entry writable without a copy. @see wp_page_reuse() */
export function wpPageReuse({ vma, entry, origFlags }: FaultContext): void {
  const { pageTable, vm } = vma.mm;
  const written = Pte.accessed | Pte.dirty | Pte.softDirty;
  pageTable.setFlags(entry, origFlags | written | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0));
  vm.memory.allocator.countEvent(VmEvent.pgreuse, 1);
}
