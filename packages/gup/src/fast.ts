// get_user_pages_fast(): no lock where everything is there already, which is nearly always; the mmap lock and faults for
// the rest. Kernel counterpart: internal_get_user_pages_fast() in mm/gup.c.
import { KernelError, type Page, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { Foll, follFlags, type FollOptions, putGrabbedPage } from "@hetmem/mm/faultin";
import { TASK_SIZE } from "@hetmem/page-table";
import { gup } from "./gup.ts";
import { walkLockless } from "./lockless-walk.ts";

/** What a lockless walk understands. */
export type FastOptions = Pick<FollOptions, "write" | "force" | "longterm" | "noFault">;

/**
 * Fills `into` with the pages behind `count` pages of addresses, each with a reference: putUserPages() gives them back.
 * No lock is held: other tasks run where other cpus do in the kernel.
 *
 * @param start first byte of a page
 * @returns how many there are from the start on; fewer than `count` where something is in the way behind the first
 * @throws KernelError as getUserPages(), of the first page only; EFAULT for addresses that no process has
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

/** The same with pins: unpinUserPages() gives them back. @see pin_user_pages_fast() */
export function* pinUserPagesFast(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): Sleeps<number> {
  return yield* gupFast(mm, start, count, follFlags(options) | Foll.PIN, into);
}

/** The lockless part alone: atomic, never fails, and may give no pages at all. @see get_user_pages_fast_only() */
export function getUserPagesFastOnly(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): number {
  return reachable(start, count) ? run(lockless(mm, start, count, follFlags(options) | Foll.GET, into)) : 0;
}

/** @see pin_user_pages_fast_only() */
export function pinUserPagesFastOnly(
  mm: MmStruct,
  start: VirtAddr,
  count: number,
  options: FastOptions,
  into: Int32Array,
): number {
  return reachable(start, count) ? run(lockless(mm, start, count, follFlags(options) | Foll.PIN, into)) : 0;
}

/** @see internal_get_user_pages_fast() */
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
    // What is held already has to be given back by the caller, who must hear of it.
    if (done === 0 || !(error instanceof KernelError)) throw error;
    return done;
  } finally {
    mm.mmapLock.upRead();
  }
}

/**
 * A fork that is under way may share a page with the child just when it is being pinned. One that has begun is waited for
 * by the slow path; where one begins meanwhile, the pins are given back first.
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

/** @see access_ok() */
function reachable(start: VirtAddr, count: number): boolean {
  return start >= 0 && start + count * 4096 <= TASK_SIZE;
}
