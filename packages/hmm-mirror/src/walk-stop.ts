// The position and cause of a stopped walk, and the fault or wait before the next walk starts there. A walk is
// atomic; the fault or wait may sleep. Kernel counterpart: the -EBUSY internal to mm/hmm.c, and hmm_vma_walk->last.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vma } from "@hetmem/mm";
import { migrationEntryWait } from "@hetmem/mm/fault";
import { faultIn } from "./fault-in.ts";

/** Causes of a stop. 0 continues the walk. Positive numbers are reserved: testWalk() returns 1 to skip a mapping. */
export const Need = {
  nothing: 0,
  /** Requested pages are missing; a fault may provide them. */
  fault: -1,
  /** As fault, for writing. */
  writeFault: -2,
  /** A requested page has a migration entry. */
  migration: -3,
  /** A requested page can't be provided by a fault. */
  failure: -4,
} as const;
export type Need = (typeof Need)[keyof typeof Need];

export class WalkStop {
  /** Pages before this address have results; the pages from here on don't. */
  last: VirtAddr;
  /** End of the part to fault in, its mapping, and the reason of a failure. */
  private end: VirtAddr;
  private vma: Vma | undefined = undefined;
  private reason = "";

  constructor(start: VirtAddr) {
    this.last = start;
    this.end = start;
  }

  /** Records a stop. @returns the value that the walk's callback must return */
  at(address: VirtAddr, end: VirtAddr, vma: Vma | undefined, need: Need): Need {
    this.last = address;
    this.end = end;
    this.vma = vma;
    return need;
  }

  /** Records the reason of a failure. @param reason "nothing is mapped there" */
  because(reason: string): Need {
    this.reason = reason;
    return Need.failure;
  }

  /**
   * Performs the fault or wait that the walk stopped for. The mmap lock is held for reading.
   *
   * @param need result of walkPageRange()
   * @throws KernelError EFAULT for a failure or a failed fault, EPERM for a write fault in a read-only mapping
   */
  *provide(mm: MmStruct, need: number): Sleeps<void> {
    const { last, end, vma } = this;
    if (need === Need.migration) return yield* migrationEntryWait(mm, last);
    if (vma === undefined || need === Need.failure)
      throw new KernelError("EFAULT", `0x${last.toString(16)} can't be mirrored: ${this.reason}`);
    yield* faultIn(vma, last, end, need === Need.writeFault);
  }
}
