// Giving back what getUserPages() and pinUserPages() took. Kernel counterpart: unpin_user_pages() and
// unpin_user_pages_dirty_lock() in mm/gup.c, release_pages() in mm/swap.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { assertPinnable, Foll, putGrabbedPage } from "@hetmem/mm/faultin";
import { setPageDirty } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";

/** What getUserPages() gives, or the array that getUserPagesFast() fills. */
export type UserPageList = readonly Page[] | Int32Array;

/** Drops the references of getUserPages(). @param count how many of them, all where absent */
export function putUserPages(vm: Vm, pages: UserPageList, count: number = pages.length): void {
  for (let i = 0; i < count; i++) putGrabbedPage(vm, pages[i] as Page, 1, Foll.GET);
}

/**
 * Drops the pins of pinUserPages().
 *
 * @param count how many of them, all where absent
 * @throws KernelBug for a page that isn't pinned, or that others may map by now
 * @see unpin_user_pages()
 */
export function unpinUserPages(vm: Vm, pages: UserPageList, count: number = pages.length): void {
  for (let i = 0; i < count; i++) {
    assertPinnable(vm, pages[i] as Page);
    putGrabbedPage(vm, pages[i] as Page, 1, Foll.PIN);
  }
}

/** The same after writing to them: marks them dirty, under their locks. @see unpin_user_pages_dirty_lock() */
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
    // One that is dirty already may be on its way to the disk: what was written is then, or will be, too.
    if (!memmap.test(head, PageFlag.dirty)) {
      yield* lockPage(memmap, head);
      setPageDirty(vm, head);
      unlockPage(memmap, head);
    }
    putGrabbedPage(vm, page, 1, Foll.PIN);
  }
}
