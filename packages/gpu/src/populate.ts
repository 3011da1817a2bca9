// Mappings of the device's file. Each is populated at once with zeroed, refcounted pages of RAM, which are neither device
// memory nor page cache. Kernel counterpart: dmirror_fops_mmap() in lib/test_hmm.c.
import { KernelError, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import { vmInsertPage } from "@hetmem/mm/vma";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_KERNEL } from "@hetmem/zone";

/** @throws KernelError ENOMEM; mmap() then removes the pages that are mapped already */
export function populateMapping({ memory: { memmap, allocator } }: Vm, vma: Vma): void {
  for (let at: number = vma.start; at < vma.end; at += PAGE_SIZE) {
    const page = allocator.allocPages(GFP_KERNEL | Gfp.ZERO, 0, vma.mm.node);
    if (page === NULL_PAGE)
      throw new KernelError("ENOMEM", `no page for a mapping of ${vma.file?.path ?? "a device"}`);
    try {
      vmInsertPage(vma, at as VirtAddr, page);
    } finally {
      memmap.putPage(page);
    }
  }
}
