// The port between charging and the policy at limits: reclaim, throttling, OOM kills. By default a charge at a limit
// fails, and there is no throttling. Kernel counterpart: the slow path of try_charge_memcg() in mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** A charge refused by a limit. */
export interface RefusedCharge {
  /** The cgroup to charge. */
  readonly payer: MemoryCgroup;
  /** The cgroup whose limit refused: the payer or an ancestor. */
  readonly over: MemoryCgroup;
  readonly pages: number;
  /** Gfp bits of the allocation. */
  readonly gfp: number;
  /** The address space that the memory is for; undefined for none. */
  readonly mm: MmStruct | undefined;
  /** Number of earlier refusals of this charge. */
  readonly attempts: number;
}

/** "retry": try the charge again; "force": charge over the limit; "fail": ENOMEM. */
export type OverMax = "retry" | "force" | "fail";

export interface OverLimit {
  /** Handles a charge over memory.max. @see try_charge_memcg() */
  overMax(refused: RefusedCharge): Sleeps<OverMax>;
  /** overMax() in atomic context: whether to charge over the limit, as for tasks that are reclaiming. */
  mayForce(payer: MemoryCgroup, over: MemoryCgroup): boolean;
  /** Notes charged pages while the payer or an ancestor is above memory.high. Handled on the return to user mode. */
  aboveHigh(payer: MemoryCgroup, pages: number, mm: MmStruct | undefined): void;
  /**
   * Whether an address space has charged so much above memory.high that handleOverHigh() must run before its next
   * charge.
   */
  owesMuch(mm: MmStruct): boolean;
  /** Reclaims and sleeps for the charges above memory.high. @see mem_cgroup_handle_over_high() */
  handleOverHigh(mm: MmStruct, gfp: number): Sleeps<void>;
  /** A swap slot was refused by memory.swap.max of `over`, or for lack of free slots when undefined. */
  swapRefused(payer: MemoryCgroup, over: MemoryCgroup | undefined): void;
}

/** The default policy: a charge at a limit fails. */
export const noRemedy: OverLimit = {
  *overMax() {
    return "fail";
  },
  mayForce: () => false,
  aboveHigh: () => {},
  owesMuch: () => false,
  *handleOverHigh() {},
  swapRefused: () => {},
};
