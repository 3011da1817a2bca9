// Takes pages of a file out of every address space that maps them, because that part of the file goes. The lock of the
// file's mappings is held meanwhile, which keeps their page tables: who unmaps or exits takes his mappings from the
// file before he frees those. Kernel counterpart: unmap_mapping_pages() in mm/memory.c.
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
 * Empties the entries that map [first, first + count) of a file.
 *
 * @param evenCows copies that processes have made of the pages go too: those are of a part of the file that is no more.
 *   Where the file only got a hole, they stay
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

/** @see zap_page_range_single() */
function* zapRange(vma: Vma, start: VirtAddr, end: VirtAddr, evenCows: boolean): Sleeps<void> {
  const { mm } = vma;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Clear };
  const isOfFile = (page: Page): boolean => !pageAnon(mm.vm, page);
  yield* invalidateRangeStart(range);
  yield* zapPageRange(vma, start, end, evenCows ? undefined : isOfFile);
  yield* invalidateRangeEnd(range);
}
