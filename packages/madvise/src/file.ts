// Advice about the file or the swapped pages of a mapping. MADV_REMOVE punches a hole into the file, MADV_WILLNEED
// reads ahead from the file or from swap. Kernel counterparts: madvise_remove() and madvise_willneed() in
// mm/madvise.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vma, VmFlag } from "@hetmem/mm";
import { pageSourceAt } from "@hetmem/mm/policy";
import { NULL_PAGE } from "@hetmem/page";
import { EntryKind, entryKind, NO_ENTRY, swapDevice } from "@hetmem/page-table";

/**
 * Punches a hole into the file under a shared mapping; every other mapping of the file loses the pages, too. The mmap
 * lock is held for reading on entry and exit. It is dropped in between, because the locks of the file are taken
 * before it.
 *
 * @throws KernelError EINVAL for a locked mapping, or one without a file; EACCES for one that can't be written; EPERM
 *   where a seal of the file forbids it
 * @see madvise_remove()
 */
export function* madviseRemove(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { mm, file, flags } = vma;
  if ((flags & VmFlag.LOCKED) !== 0 || !file?.punchHole)
    throw new KernelError("EINVAL", `${describeVma(vma)} is locked, or has no file to take anything from`);
  const needed = VmFlag.SHARED | VmFlag.MAYWRITE;
  if ((flags & needed) !== needed)
    throw new KernelError("EACCES", `${describeVma(vma)} is no shared mapping that can be written`);
  const from = vma.pgoffOf(start) * PAGE_SIZE;
  mm.mmapLock.upRead();
  try {
    yield* file.punchHole(from, from + (end - start), mm);
  } finally {
    yield* mm.mmapLock.downRead();
  }
}

/**
 * Reads pages ahead from the file or from swap, as far as possible. The mmap lock is held for reading.
 *
 * @see madvise_willneed()
 */
export function* madviseWillneed(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { file, mm } = vma;
  if (!file) yield* swapIn(vma, start, end);
  else if (file.readAhead) yield* file.readAhead(vma.pgoffOf(start), (end - start) / PAGE_SIZE, mm);
}

/** @see swapin_walk_pmd_entry() */
function* swapIn(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = (at + PAGE_SIZE) as VirtAddr) {
    const entry = pageTable.find(at);
    if (entry === NO_ENTRY || entryKind(pageTable.flags(entry)) !== EntryKind.swap) continue;
    const page: Page = yield* vm.swap.readPage(
      swapDevice(pageTable.flags(entry)),
      pageTable.value(entry),
      pageSourceAt(vma, at),
    );
    if (page !== NULL_PAGE) vm.memmap.putPage(page);
  }
}
