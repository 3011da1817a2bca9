// An administrator says that memory is bad, to see what happens: MADV_HWPOISON and MADV_SOFT_OFFLINE. Kernel counterpart:
// madvise_inject_error() in mm/madvise.c.
import { KernelError, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { grabUserPages } from "../faultin/faultin-page.ts";
import type { MmStruct } from "../mm-struct.ts";
import { Cap } from "../process/credentials.ts";

/** Port: who deals with bad memory. The zone package's MemoryFailure is one. */
export interface MemoryErrors {
  /** @param current the process that has it happen @see memory_failure() */
  hardOffline(frame: Pfn, current?: object): Sleeps<void>;
  /** @see soft_offline_page() */
  softOffline(frame: Pfn): Sleeps<void>;
}

/**
 * Has each page of a range fail, as it is now.
 *
 * @param kind "hard": the memory is bad; "soft": it is going to be
 * @throws KernelError EPERM without CAP_SYS_ADMIN, EINVAL on a machine without memory failure handling, EFAULT where nothing can be read, and what the
 *   handling throws
 */
export function* madviseInjectError(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  kind: "hard" | "soft",
): Sleeps<void> {
  const { kernel, memmap, memoryErrors } = mm.vm;
  if (!mm.capable(Cap.SYS_ADMIN)) throw new KernelError("EPERM", "only CAP_SYS_ADMIN has memory fail");
  if (!memoryErrors) throw new KernelError("EINVAL", "the machine is made without memory failure handling");
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
      // Whoever handles it counts references, and ours isn't one that somebody will give up.
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
