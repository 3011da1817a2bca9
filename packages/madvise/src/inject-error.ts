// MADV_HWPOISON and MADV_SOFT_OFFLINE: an administrator injects memory failures into pages of a process. Each page of
// the range is faulted in, and its frame is handed to the handling of bad memory. Kernel counterpart:
// madvise_inject_error() in mm/madvise.c.
import { KernelError, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { Cap, type MmStruct } from "@hetmem/mm";
import { grabUserPages } from "@hetmem/mm/faultin";

/**
 * Injects a failure into each page of a range. Absent pages are faulted in first.
 *
 * @param kind "hard": the memory is bad; "soft": it is about to fail
 * @throws KernelError EPERM without CAP_SYS_ADMIN, EINVAL on a machine without memory failure handling, EFAULT where
 *   nothing can be read, and the errors of the handling
 */
export function* madviseInjectError(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  kind: "hard" | "soft",
): Sleeps<void> {
  const { kernel, memmap, memoryErrors } = mm.vm;
  if (!mm.capable(Cap.SYS_ADMIN)) throw new KernelError("EPERM", "only CAP_SYS_ADMIN has memory fail");
  if (!memoryErrors)
    throw new KernelError(
      "EINVAL",
      "the machine was made without handling of bad memory: set vm.memoryErrors to a MemoryFailure of @hetmem/zone",
    );
  const current = [...mm.vm.processes].find((process) => process.mm === mm);
  for (let at: number = start; at < end;) {
    yield* mm.mmapLock.downRead();
    let frame: Pfn;
    let size: number;
    try {
      const [page] = yield* grabUserPages(mm, at as VirtAddr, 1, 0);
      if (page === undefined) throw new KernelError("EFAULT", `nothing can be read at 0x${at.toString(16)}`);
      frame = memmap.pageToPfn(page);
      size = 4096 << memmap.compoundOrder(memmap.compoundHead(page));
      // The handler checks the refcount, and a reference of ours would look like a user that can't be unmapped.
      memmap.putPage(memmap.compoundHead(page));
    } finally {
      mm.mmapLock.upRead();
    }
    const what = kind === "hard" ? "Injecting memory failure for" : "Soft offlining";
    kernel.log.printk(
      6,
      `${what} pfn 0x${frame.toString(16)} at process virtual address 0x${at.toString(16)}`,
    );
    if (kind === "hard") yield* memoryErrors.hardOffline(frame, current);
    else yield* memoryErrors.softOffline(frame);
    at += size;
  }
}
