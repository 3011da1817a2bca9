// KernelBugs for misused struct pages. Kernel counterpart: VM_BUG_ON_PAGE() in include/linux/mmdebug.h.
import { KernelBug, type Page, type Pfn } from "@hetmem/kernel";

/** The part of MemMap that the messages use. */
interface Pages {
  pageToPfn(page: Page): Pfn;
  refcount(page: Page): number;
  mapcount(page: Page): number;
}

/** put_page() of a page with refcount 0. */
export function withoutReference(pages: Pages, page: Page): never {
  throw new KernelBug(`put_page of frame 0x${pages.pageToPfn(page).toString(16)} without a reference`);
}

/** Allocation of a page in use. */
export function handedOutInUse(pages: Pages, page: Page): never {
  const counts = `refcount ${pages.refcount(page)}, mapcount ${pages.mapcount(page)}`;
  const frame = pages.pageToPfn(page).toString(16);
  throw new KernelBug(`frame 0x${frame} is handed out while it is in use (${counts})`);
}

/** Read of an uninitialised struct page. */
export function readTooEarly(pages: Pages, page: Page): never {
  const frame = pages.pageToPfn(page).toString(16);
  throw new KernelBug(`the struct page of frame 0x${frame} is read before it is initialised`);
}
