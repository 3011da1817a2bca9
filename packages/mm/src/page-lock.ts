// The page lock, a bit in the page flags. Its holder may change the state of the page; other tasks can't migrate it,
// truncate it from its file or write it back meanwhile. The bit has no owner. Kernel counterpart: mm/filemap.c
// (__folio_lock()).
import { KernelBug, type Page, type Preempt, type Sleeps } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";

/**
 * Locks a page if it is unlocked.
 *
 * @returns whether the page was unlocked
 * @see trylock_page()
 */
export function trylockPage(memmap: MemMap, page: Page): boolean {
  if (memmap.test(page, PageFlag.locked)) return false;
  memmap.set(page, PageFlag.locked);
  return true;
}

/** Sleeps until a page is unlocked, and locks it. The caller holds a reference. @see lock_page() */
export function* lockPage(memmap: MemMap, page: Page): Sleeps<void> {
  if (trylockPage(memmap, page)) return;
  const wait: Preempt = { why: "page lock", ready: () => !memmap.test(page, PageFlag.locked) };
  // Ends: the holder of the lock unlocks the page at some point.
  do yield wait;
  while (!trylockPage(memmap, page));
}

/**
 * Unlocks a page.
 *
 * @throws KernelBug when it isn't locked
 * @see unlock_page()
 */
export function unlockPage(memmap: MemMap, page: Page): void {
  if (!memmap.test(page, PageFlag.locked))
    throw new KernelBug(`unlocked without a lock: ${describePage(memmap, page)}`);
  memmap.clear(page, PageFlag.locked);
}
