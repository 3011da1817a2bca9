// Functions that need the mmap lock, with the lock taken for reading around each call, for tests about other
// subjects.
import * as gup from "@hetmem/gup";
import { type Page, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import * as pagewalk from "@hetmem/mm";
import type { FollOptions } from "@hetmem/mm/faultin";
import { withMmapLock } from "./vm-machine.ts";

type Gup = (mm: MmStruct, start: VirtAddr, count: number, options: FollOptions) => Sleeps<Page[]>;

function locked(call: Gup): Gup {
  return (mm, start, count, options) => withMmapLock(mm, call(mm, start, count, options));
}

export const getUserPages: Gup = locked(gup.getUserPages);
export const getUserPagesRemote: Gup = locked(gup.getUserPagesRemote);
export const pinUserPages: Gup = locked(gup.pinUserPages);

export function walkPageRangeSleeping(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  ops: pagewalk.SleepingWalkOps,
): Sleeps<number> {
  return withMmapLock(mm, pagewalk.walkPageRangeSleeping(mm, start, end, ops));
}

export function walkPageRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, ops: pagewalk.MmWalkOps): number {
  // The walk is the atomic one, in which a sleeping callback is a bug.
  const walk = function* (): Sleeps<number> {
    return pagewalk.walkPageRange(mm, start, end, ops);
  };
  return run(withMmapLock(mm, walk()));
}
