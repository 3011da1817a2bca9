// The lock of a page: a bit of its flags, which somebody may sleep for. Who holds it may change what the page is; nobody
// else may move it, cut it off its file or write it back. Kernel counterpart: mm/filemap.c (__folio_lock()).
import { KernelBug, type Page, type Preempt, type Sleeps } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";

/** @returns whether it was free, and is ours now @see trylock_page() */
export function trylockPage(memmap: MemMap, page: Page): boolean {
  if (memmap.test(page, PageFlag.locked)) return false;
  memmap.set(page, PageFlag.locked);
  return true;
}

/** Waits until the page is unlocked, and locks it. The caller holds a reference. @see lock_page() */
export function* lockPage(memmap: MemMap, page: Page): Sleeps<void> {
  if (trylockPage(memmap, page)) return;
  const wait: Preempt = { why: "page lock", ready: () => !memmap.test(page, PageFlag.locked) };
  // Ends: with a turn in which the page is unlocked: its holder ends.
  do yield wait;
  while (!trylockPage(memmap, page));
}

/** Waits until it is unlocked, and leaves it so. @see wait_on_page_locked() */
export function* waitOnPageLocked(memmap: MemMap, page: Page): Sleeps<void> {
  if (!memmap.test(page, PageFlag.locked)) return;
  yield { why: "page lock", ready: () => !memmap.test(page, PageFlag.locked) };
}

/** @throws KernelBug when it isn't locked @see unlock_page() */
export function unlockPage(memmap: MemMap, page: Page): void {
  if (!memmap.test(page, PageFlag.locked))
    throw new KernelBug(`unlocked without a lock: ${describePage(memmap, page)}`);
  memmap.clear(page, PageFlag.locked);
}
