// What is said when a struct page is used against the rules. Kernel counterpart: VM_BUG_ON_PAGE() in
// include/linux/mmdebug.h.
import { KernelBug, type Page, type Pfn } from "@hetmem/kernel";

/** The struct pages that it is about. */
interface Pages {
  pageToPfn(page: Page): Pfn;
  refcount(page: Page): number;
  mapcount(page: Page): number;
}

/** A reference is dropped that was never taken. */
export function withoutReference(pages: Pages, page: Page): never {
  throw new KernelBug(`put_page of frame 0x${pages.pageToPfn(page).toString(16)} without a reference`);
}

/** A page is allocated that has users. */
export function handedOutInUse(pages: Pages, page: Page): never {
  const counts = `refcount ${pages.refcount(page)}, mapcount ${pages.mapcount(page)}`;
  const frame = pages.pageToPfn(page).toString(16);
  throw new KernelBug(`frame 0x${frame} is handed out while it is in use (${counts})`);
}

/** A struct page is read that was never written. */
export function readTooEarly(pages: Pages, page: Page): never {
  const frame = pages.pageToPfn(page).toString(16);
  throw new KernelBug(`the struct page of frame 0x${frame} is read before it is initialised`);
}
