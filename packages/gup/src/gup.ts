// get_user_pages(): the pages behind a range of addresses, faulted in where they aren't there, and held so that they stay.
// Kernel counterpart: get_user_pages() and its kin in mm/gup.c.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, type MmStruct } from "@hetmem/mm";
import { Foll, follFlags, type FollOptions, walkUserPages } from "@hetmem/mm/faultin";
import { gupLongterm } from "./longterm.ts";

/**
 * The pages behind `count` pages of addresses, each with a reference: give them back with putUserPages(). The mmap lock is
 * held, and stays so.
 *
 * @param start first byte of a page
 * @returns by address; fewer than `count` where something is in the way behind the first
 * @throws KernelError EFAULT where nothing may be reached, ENOMEM, EHWPOISON, EINTR when the process is being killed: of
 * the first page only
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

/** The same of an address space that isn't one's own: a debugger's, a driver's. @see get_user_pages_remote() */
export function* getUserPagesRemote(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.GET | Foll.TOUCH | Foll.REMOTE);
}

/**
 * The same with pins, for who is going to read or write what is in the pages: give them back with unpinUserPages().
 *
 * @throws KernelError also EOPNOTSUPP for long pins of files on persistent memory; ENOMEM or EBUSY where a page can't be
 * moved to where it may stay
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

/** @see pin_user_pages_remote() */
export function* pinUserPagesRemote(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FollOptions,
): Sleeps<Page[]> {
  return yield* gup(mm, start, count, follFlags(options) | Foll.PIN | Foll.TOUCH | Foll.REMOTE);
}

/** All of these, by bits. The mmap lock is held. @see __gup_longterm_locked() */
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
