// The port between charging, which is here, and what is done about limits: reclaim, slowing down, killing. Charging
// without it fails at a limit, and nobody is slowed down. Kernel counterpart: the slow path of try_charge_memcg() in
// mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** A charge that a limit has refused. */
export interface RefusedCharge {
  /** Who is to pay. */
  readonly payer: MemoryCgroup;
  /** Whose limit it is: the payer or one above. */
  readonly over: MemoryCgroup;
  readonly pages: number;
  /** Gfp bits: what the charge may do. */
  readonly gfp: number;
  /** Whose memory it is for; undefined when nobody runs for it. */
  readonly mm: MmStruct | undefined;
  /** Times that it was refused before. */
  readonly attempts: number;
}

/** "retry": there may be room now; "force": it is charged over the limit; "fail": ENOMEM. */
export type OverMax = "retry" | "force" | "fail";

export interface OverLimit {
  /** A charge is over memory.max. @see try_charge_memcg() */
  overMax(refused: RefusedCharge): Sleeps<OverMax>;
  /** The same where nothing may wait: whether it is charged all the same, as for those who free memory. */
  mayForce(payer: MemoryCgroup, over: MemoryCgroup): boolean;
  /** Pages were charged, and a cgroup from the payer upwards is above its memory.high: it is dealt with at return to user mode. */
  aboveHigh(payer: MemoryCgroup, pages: number, mm: MmStruct | undefined): void;
  /** Whether an address space has taken so much above memory.high in one go that it answers for it before it gets more. */
  owesMuch(mm: MmStruct): boolean;
  /** It does: it reclaims, and sleeps. @see mem_cgroup_handle_over_high() */
  handleOverHigh(mm: MmStruct, gfp: number): Sleeps<void>;
  /** A swap slot was refused at the memory.swap.max of `over`; undefined: there was none to be had. */
  swapRefused(payer: MemoryCgroup, over: MemoryCgroup | undefined): void;
}

/** At a limit a charge fails. */
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
