// Dropping the references of getUserPages() and the pins of pinUserPages(). A caller that has written to the pages
// marks them dirty, since the CPU's page tables don't know of such writes. Kernel counterpart: unpin_user_pages() and
// unpin_user_pages_dirty_lock() in mm/gup.c, release_pages() in mm/swap.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { assertPinnable, Foll, putGrabbedPage } from "@hetmem/mm/faultin";
import { setPageDirty } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";

/** Pages, as getUserPages() returns them or getUserPagesFast() writes them. */
export type UserPageList = readonly Page[] | Int32Array;

/** Drops the references of getUserPages(). @param count pages to drop, from the first on; absent: all */
export function putUserPages(vm: Vm, pages: UserPageList, count: number = pages.length): void {
  for (let i = 0; i < count; i++) putGrabbedPage(vm, pages[i] as Page, 1, Foll.GET);
}

/**
 * Drops the pins of pinUserPages().
 *
 * @param count pages to unpin, from the first on; absent: all
 * @throws KernelBug for a page that isn't pinned, or for an anonymous page that was pinned and is no longer exclusive
 * @see unpin_user_pages()
 */
export function unpinUserPages(vm: Vm, pages: UserPageList, count: number = pages.length): void {
  for (let i = 0; i < count; i++) {
    assertPinnable(vm, pages[i] as Page);
    putGrabbedPage(vm, pages[i] as Page, 1, Foll.PIN);
  }
}

/**
 * Does the same as unpinUserPages(), for pages that the caller has written: marks the pages dirty, under their locks,
 * first.
 *
 * @see unpin_user_pages_dirty_lock()
 */
export function* unpinUserPagesDirty(
  vm: Vm,
  pages: UserPageList,
  count: number = pages.length,
): Sleeps<void> {
  const { memmap } = vm;
  for (let i = 0; i < count; i++) {
    const page = pages[i] as Page;
    assertPinnable(vm, page);
    const head = memmap.compoundHead(page);
    // A page that is dirty already may be under writeback: the contents are written to the disk then, or stay dirty.
    if (!memmap.test(head, PageFlag.dirty)) {
      yield* lockPage(memmap, head);
      setPageDirty(vm, head);
      unlockPage(memmap, head);
    }
    putGrabbedPage(vm, page, 1, Foll.PIN);
  }
}
