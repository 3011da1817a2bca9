// Unpoisoning: a page that was poisoned for a test, without a real memory error, becomes usable again. The page must be
// unused otherwise. Kernel counterpart: unpoison_memory() in mm/memory-failure.c, and
// /sys/kernel/debug/hwpoison/unpoison-pfn.
import { KernelError, type Pfn } from "@hetmem/kernel";
import { describeUsers } from "@hetmem/migrate";
import type { Vm } from "@hetmem/mm";
import { describePage, PageFlag, SectionFlag, sectionOfPfn } from "@hetmem/page";

/**
 * Frees a poisoned page to the allocator.
 *
 * @param frame number of the frame
 * @throws KernelError EIO for a frame that isn't online; EBUSY for a page that isn't poisoned, or is still mapped,
 *   part of a file, or referenced, as by the swap cache
 * @see unpoison_memory()
 */
export function unpoisonMemory(vm: Vm, frame: Pfn): void {
  const { kernel, memmap, memory } = vm;
  if (!memmap.pfnValid(frame) || !memmap.sections.has(sectionOfPfn(frame), SectionFlag.online))
    throw new KernelError("EIO", `frame 0x${frame.toString(16)} is not online memory of this machine`);
  const page = memmap.pfnToPage(frame);
  const refuse = (text: string, why: string): never => {
    kernel.log.printk(6, `Unpoison: ${text} 0x${frame.toString(16)}`);
    throw new KernelError("EBUSY", `${describePage(memmap, page)} ${why}`);
  };
  if (!memmap.test(page, PageFlag.hwpoison)) refuse("Page was already unpoisoned", "is not poisoned");
  if (memmap.refcount(page) > 1)
    refuse("Someone grabs the hwpoison page", `has other references${describeUsers(vm, page)}`);
  if (memmap.mapcount(page) > 0) refuse("Someone maps the hwpoison page", "is mapped still");
  if (vm.mappings.of(memmap, page))
    refuse("the hwpoison page has non-NULL mapping", "is still a part of a file");
  memmap.clear(page, PageFlag.hwpoison);
  memory.counters.poisonedPages--;
  memmap.putPage(page);
  kernel.log.printk(6, `Unpoison: Software-unpoisoned page 0x${frame.toString(16)}`);
}
