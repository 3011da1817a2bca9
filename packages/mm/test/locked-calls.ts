// The calls that want the mmap lock, each with the lock held for reading around it, for tests that are about other things.
import { run, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { FollOptions } from "../src/faultin/foll.ts";
import * as gup from "../src/gup/gup.ts";
import type { MmStruct } from "../src/mm-struct.ts";
import * as pagewalk from "../src/pagewalk.ts";
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
