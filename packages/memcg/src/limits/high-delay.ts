// The throttling delay of a process in a cgroup above memory.high: quadratic in the overage, and proportional to the
// pages just charged. Kernel counterpart: calculate_high_delay() in mm/memcontrol.c.
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { PageCounter } from "../page-counter.ts";
import { CHARGE_BATCH } from "../stock.ts";

/** Jiffies per second. @see CONFIG_HZ of Debian's kernel */
export const HZ = 250;
/** Maximum delay per return to user mode, in jiffies: 2 s. @see MEMCG_MAX_HIGH_DELAY_JIFFIES */
export const MAX_HIGH_DELAY_JIFFIES: number = 2 * HZ;
/** Delays up to this many jiffies (10 ms) are skipped. */
export const MIN_HIGH_DELAY_JIFFIES: number = HZ / 100;
/**
 * Fixed-point 1.0 of an overage; an overage of 1.0 is a usage of twice the threshold.
 *
 * @see MEMCG_DELAY_PRECISION_SHIFT
 */
const PRECISION = 2 ** 20;
/** @see MEMCG_DELAY_SCALING_SHIFT */
const SCALING = 2 ** 14;

/** The relative overage of a counter above `high`, in units of 1/PRECISION. @see calculate_overage() */
export function overage({ usage, high }: PageCounter): number {
  return usage <= high ? 0 : Math.floor(((usage - high) * PRECISION) / Math.max(high, 1));
}

/** The maximum overage of a cgroup and its ancestors. @see mem_find_max_overage() */
export function maxOverage(cgroup: MemoryCgroup, counter: "memory" | "swap"): number {
  let worst = 0;
  for (let at = cgroup; at.parent !== undefined; at = at.parent) {
    const over = overage(at[counter]);
    if (over > 0 && counter === "swap") at.noteEvent("swap_high");
    worst = Math.max(worst, over);
  }
  return worst;
}

/**
 * The delay for charged pages.
 *
 * @param over overage from maxOverage()
 * @param pages pages charged since the last return to user mode
 * @returns jiffies
 * @see calculate_high_delay()
 */
export function highDelay(over: number, pages: number): number {
  const penalty = Math.floor(Math.floor((over * over * HZ) / PRECISION) / SCALING);
  return Math.floor((penalty * pages) / CHARGE_BATCH);
}
