// Unmaps pages of a file from every address space, for truncation and hole punching. The lock of the file's mappings
// (i_mmap_rwsem) is held meanwhile, which keeps their page tables: munmap and exit take a mapping off the file's list,
// under that lock, before they free its tables. Kernel counterpart: unmap_mapping_pages() in mm/memory.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { type Vma, zapPageRange } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { pageAnon } from "@hetmem/mm/rmap";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";

/**
 * Clears the entries that map the pages [first, first + count) of a file.
 *
 * @param first page index in the file
 * @param count pages
 * @param evenCows true also clears entries that map private copies of the pages, as a truncation must; false keeps
 *   these, as for a hole
 * @see unmap_mapping_pages()
 */
export function* unmapMappingRange(
  mapping: AddressSpace,
  first: number,
  count: number,
  evenCows: boolean,
): Sleeps<void> {
  if (mapping.iMmap.size === 0) return;
  const last = first + count - 1;
  if (!mapping.iMmapRwsem.tryDownRead()) yield* mapping.iMmapRwsem.downRead();
  try {
    for (const vma of mapping.iMmap.overlapping(first, last)) {
      const start = vma.addressOf(Math.max(first, vma.pgoff));
      const end = (vma.addressOf(Math.min(last, vma.lastPgoff)) + 4096) as VirtAddr;
      yield* zapRange(vma, start, end, evenCows);
    }
  } finally {
    mapping.iMmapRwsem.upRead();
  }
}

/** Clears the entries of a range within an invalidation. @see zap_page_range_single() */
function* zapRange(vma: Vma, start: VirtAddr, end: VirtAddr, evenCows: boolean): Sleeps<void> {
  const { mm } = vma;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Clear };
  const isOfFile = (page: Page): boolean => !pageAnon(mm.vm, page);
  yield* invalidateRangeStart(range);
  yield* zapPageRange(vma, start, end, evenCows ? undefined : isOfFile);
  yield* invalidateRangeEnd(range);
}
