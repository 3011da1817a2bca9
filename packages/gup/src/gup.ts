// get_user_pages(): gets the pages that a range of addresses maps, faults in those that aren't present, and holds a
// reference or a pin on each.
// Kernel counterpart: get_user_pages() and its kin in mm/gup.c.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, type MmStruct } from "@hetmem/mm";
import { Foll, follFlags, type FollOptions, walkUserPages } from "@hetmem/mm/faultin";
import { gupLongterm } from "./longterm.ts";
import "./version.ts";

/**
 * Gets the pages that `count` pages of addresses map, each with a reference. putUserPages() drops the references. The
 * mmap lock must be held, and is held throughout.
 *
 * @param start address of a page
 * @param count pages
 * @returns the pages in the order of their addresses; fewer than `count` if a page behind the first can't be had
 * @throws KernelError for the first page only: EFAULT if the access isn't allowed, ENOMEM, EHWPOISON, EINTR if the
 *   process is being killed
 * @throws KernelBug without the mmap lock
 * @see get_user_pages() in mm/gup.c
 */
export function* getUserPages(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.GET | Foll.TOUCH);
}

/**
 * Does the same as getUserPages(), for an address space of another process, as a debugger or a driver does.
 *
 * @see get_user_pages_remote()
 */
export function* getUserPagesRemote(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.GET | Foll.TOUCH | Foll.REMOTE);
}

/**
 * Does the same as getUserPages(), with pins, for callers that read or write the contents of the pages.
 * unpinUserPages() drops the pins.
 *
 * @throws KernelError as getUserPages(); EOPNOTSUPP for a longterm pin of a file on persistent memory; ENOMEM or
 *   EBUSY if a page can't move to where it may be pinned longterm
 * @see pin_user_pages()
 */
export function* pinUserPages(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.PIN);
}

/** Does the same as pinUserPages(), for an address space of another process. @see pin_user_pages_remote() */
export function* pinUserPagesRemote(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.PIN | Foll.TOUCH | Foll.REMOTE);
}

/**
 * Gets or pins pages. The mmap lock is held.
 *
 * @param foll Foll bits
 * @throws KernelError as pinUserPages(); EINVAL for a longterm reference
 * @see __gup_longterm_locked()
 */
export function* gup(mm: MmStruct, start: VirtAddr, count: number, foll: number): Sleeps<Page[]> {
  if (count > 0) mmapAssertLocked(mm, "is asked for pages");
  if ((foll & Foll.PIN) !== 0) mm.hasPinned = true;
  if ((foll & Foll.LONGTERM) === 0) {
    const pages: Page[] = [];
    yield* walkUserPages(mm, start, count, foll, pages);
    return pages;
  }
  if ((foll & Foll.PIN) === 0)
    throw new KernelError("EINVAL", "a reference can't be held for long as a pin can: use pinUserPages()");
  return yield* gupLongterm(mm, start, count, foll);
}
