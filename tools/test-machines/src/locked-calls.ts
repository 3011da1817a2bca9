// The calls that want the mmap lock, each with the lock held for reading around it, for tests that are about other things.
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
  // The walk itself is the atomic one, which a callback that sleeps is a bug of.
  const walk = function* (): Sleeps<number> {
    return pagewalk.walkPageRange(mm, start, end, ops);
  };
  return run(withMmapLock(mm, walk()));
}
