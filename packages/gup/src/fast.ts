// get_user_pages_fast(): walks the page tables without a lock, and takes the mmap lock and faults only for pages that
// the walk can't take.
// Kernel counterpart: internal_get_user_pages_fast() in mm/gup.c.
import { KernelError, type Page, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { Foll, follFlags, type FollOptions, putGrabbedPage } from "@hetmem/mm/faultin";
import { TASK_SIZE } from "@hetmem/page-table";
import { gup } from "./gup.ts";
import { walkLockless } from "./lockless-walk.ts";

/** Options that the lockless walk supports. */
export type FastOptions = Pick<FollOptions, "write" | "force" | "longterm" | "noFault">;

/**
 * Gets the pages that `count` pages of addresses map, each with a reference, and writes them to `into`. putUserPages()
 * drops the references. No lock is held. Other tasks run at the points where other CPUs race with the kernel's walk.
 *
 * @param start address of a page
 * @param count pages
 * @param into array with room for `count` pages
 * @returns number of pages from the start on; fewer than `count` if a page behind the first can't be had
 * @throws KernelError as getUserPages(), for the first page only; EFAULT for addresses above TASK_SIZE
 * @see get_user_pages_fast()
 */
export function* getUserPagesFast(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): Sleeps<number> {
  return yield* gupFast(mm, start, count, follFlags(options) | Foll.GET, into);
}

/** Does the same as getUserPagesFast(), with pins. unpinUserPages() drops the pins. @see pin_user_pages_fast() */
export function* pinUserPagesFast(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): Sleeps<number> {
  return yield* gupFast(mm, start, count, follFlags(options) | Foll.PIN, into);
}

/**
 * Takes pages with the lockless walk alone. Atomic; returns 0 instead of an error.
 *
 * @returns number of pages from the start on
 * @see get_user_pages_fast_only()
 */
export function getUserPagesFastOnly(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): number {
  return reachable(start, count) ? run(lockless(mm, start, count, follFlags(options) | Foll.GET, into)) : 0;
}

/** Does the same as getUserPagesFastOnly(), with pins. @see pin_user_pages_fast_only() */
export function pinUserPagesFastOnly(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): number {
  return reachable(start, count) ? run(lockless(mm, start, count, follFlags(options) | Foll.PIN, into)) : 0;
}

/**
 * Gets pages with the lockless walk, and the rest with the mmap lock.
 *
 * @param foll Foll bits
 * @see internal_get_user_pages_fast()
 */
export function* gupFast(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
): Sleeps<number> {
  if (!reachable(start, count))
    throw new KernelError("EFAULT", `${count} pages from 0x${start.toString(16)} are not all of a process`);
  const done = yield* lockless(mm, start, count, foll, into);
  if (done === count) return done;
  yield* mm.mmapLock.downRead();
  try {
    const rest = yield* gup(mm, (start + done * 4096) as VirtAddr, count - done, foll | Foll.TOUCH);
    into.set(rest, done);
    return done + rest.length;
  } catch (error) {
    // The caller must drop the references it has got, and so must get their number instead of the error.
    if (done === 0 || !(error instanceof KernelError)) throw error;
    return done;
  } finally {
    mm.mmapLock.upRead();
  }
}

/**
 * Walks without a lock. A fork that write-protects entries at the same time could share a page with the child while it
 * is being pinned. If a fork is under way at the start, no page is taken: the slow path waits for the fork. If one
 * began meanwhile, all pins are dropped again.
 *
 * @see lockless_pages_from_mm()
 */
function* lockless(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  foll: number,
  into: Int32Array,
): Sleeps<number> {
  const pins = (foll & Foll.PIN) !== 0;
  const sequence = mm.writeProtectSeq;
  if (pins) {
    mm.hasPinned = true;
    if (sequence % 2 === 1) return 0;
  }
  const done = yield* walkLockless(mm, start, count, foll, into);
  if (!pins || mm.writeProtectSeq === sequence) return done;
  for (let i = 0; i < done; i++) putGrabbedPage(mm.vm, into[i] as Page, 1, foll);
  return 0;
}

/** Whether all of the range is below TASK_SIZE. @see access_ok() */
function reachable(start: VirtAddr, count: number): boolean {
  return start >= 0 && start + count * 4096 <= TASK_SIZE;
}
