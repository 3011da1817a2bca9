// I/O between pages and swap devices. A page is unlocked while it is written, and marked as under writeback; it stays
// locked while it is read.
// Kernel counterpart: mm/page_io.c.
import { condResched, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { unlockPage, type Vm } from "@hetmem/mm";
import { endWriteback, startWriteback } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { deviceOfEntry, slotOfEntry } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import type { SwapSpace } from "./swap-space.ts";

/** 512-byte sectors, the unit of pgpgin and pgpgout. */
const SECTORS_PER_PAGE: number = PAGE_SIZE / 512;

/**
 * Writes a locked page of the swap cache to its slot, and unlocks it. If no entry names the slot any more, the page
 * leaves the cache instead. The caller holds a reference.
 *
 * @see swap_writepage()
 */
export function* swapWritepage(swap: SwapSpace, page: Page): Sleeps<void> {
  const { vm } = swap;
  const { memmap } = vm;
  if (swap.freeSwap(page)) {
    unlockPage(memmap, page);
    return;
  }
  const entry = memmap.private(page);
  countIo(vm, VmEvent.pswpout, VmEvent.pgpgout);
  startWriteback(vm, page);
  unlockPage(memmap, page);
  swap.device(deviceOfEntry(entry)).write(slotOfEntry(entry), memmap.contents.bytes(page));
  yield condResched;
  endWriteback(vm, page);
  if (!memmap.test(page, PageFlag.reclaim)) return;
  memmap.clear(page, PageFlag.reclaim);
  vm.lru.rotateReclaimable(page);
}

/** Reads a slot into its locked page of the swap cache, and unlocks the page. @see swap_readpage() */
export function* swapReadpage(swap: SwapSpace, page: Page): Sleeps<void> {
  const { vm } = swap;
  const { memmap } = vm;
  const entry = memmap.private(page);
  countIo(vm, VmEvent.pswpin, VmEvent.pgpgin);
  yield condResched;
  const bytes = swap.device(deviceOfEntry(entry)).bytes(slotOfEntry(entry));
  if (bytes === undefined) memmap.contents.clear(page);
  else memmap.contents.materialise(page).set(bytes);
  memmap.set(page, PageFlag.uptodate);
  unlockPage(memmap, page);
}

function countIo({ memory }: Vm, pages: number, sectors: number): void {
  memory.allocator.countEvent(pages, 1);
  memory.allocator.countEvent(sectors, SECTORS_PER_PAGE);
}
