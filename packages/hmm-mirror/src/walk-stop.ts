// Where and why a walk has stopped, and what is done about it before the next one begins there. A walk is atomic; this may
// sleep. Kernel counterpart: the EBUSY that mm/hmm.c returns to itself, and hmm_vma_walk->last.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { migrationEntryWait, type MmStruct, type Vma } from "@hetmem/mm";
import { faultIn } from "./fault-in.ts";

/** Why a walk stops. 0 goes on; a positive number would be testWalk()'s way to leave a mapping out. */
export const Need = {
  nothing: 0,
  /** Pages are asked for that a fault may bring. */
  fault: -1,
  /** The same, and the process must be able to write to them. */
  writeFault: -2,
  /** A page that is asked for is being moved. */
  migration: -3,
  /** Something is asked for that no fault can bring. */
  failure: -4,
} as const;
export type Need = (typeof Need)[keyof typeof Need];

export class WalkStop {
  /** Pages in front of it have been answered, and no other. */
  last: VirtAddr;
  /** What is needed is needed up to here, in this mapping; or why it can't be had. */
  private end: VirtAddr;
  private vma: Vma | undefined = undefined;
  private reason = "";

  constructor(start: VirtAddr) {
    this.last = start;
    this.end = start;
  }

  /** @returns what the walk's callback is to return */
  at(address: VirtAddr, end: VirtAddr, vma: Vma | undefined, need: Need): Need {
    this.last = address;
    this.end = end;
    this.vma = vma;
    return need;
  }

  /** @param reason "nothing is mapped there" */
  because(reason: string): Need {
    this.reason = reason;
    return Need.failure;
  }

  /**
   * Does what the walk has stopped for, or finds that it can't be done. The mmap lock is held for reading.
   *
   * @param need what walkPageRange() answered
   * @throws KernelError EFAULT, EPERM
   */
  *provide(mm: MmStruct, need: number): Sleeps<void> {
    const { last, end, vma } = this;
    if (need === Need.migration) return yield* migrationEntryWait(mm, last);
    if (vma === undefined || need === Need.failure)
      throw new KernelError("EFAULT", `0x${last.toString(16)} can't be mirrored: ${this.reason}`);
    yield* faultIn(vma, last, end, need === Need.writeFault);
  }
}
