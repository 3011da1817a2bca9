// How long a process is slowed down whose cgroup is above memory.high: hardly for the first few percent, then ever more,
// and in proportion to what it has just taken. Kernel counterpart: calculate_high_delay() in mm/memcontrol.c.
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { PageCounter } from "../page-counter.ts";
import { CHARGE_BATCH } from "../stock.ts";

/** Ticks of the kernel's clock a second. @see CONFIG_HZ of Debian's kernel */
export const HZ = 250;
/** Nobody is held up longer at a time. @see MEMCG_MAX_HIGH_DELAY_JIFFIES */
export const MAX_HIGH_DELAY_JIFFIES: number = 2 * HZ;
/** Less isn't worth going to sleep for. */
export const MIN_HIGH_DELAY_JIFFIES: number = HZ / 100;
/** An overage of 1 is a usage of twice the limit. @see MEMCG_DELAY_PRECISION_SHIFT */
const PRECISION = 2 ** 20;
/** @see MEMCG_DELAY_SCALING_SHIFT */
const SCALING = 2 ** 14;

/** How far a counter is above its high mark, in parts of PRECISION of the mark. @see calculate_overage() */
export function overage({ usage, high }: PageCounter): number {
  return usage <= high ? 0 : Math.floor(((usage - high) * PRECISION) / Math.max(high, 1));
}

/** The worst overage of a cgroup and those above it. @see mem_find_max_overage() */
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
 * Ticks that whoever has taken so many pages sleeps.
 *
 * @param over as maxOverage() says
 * @see calculate_high_delay()
 */
export function highDelay(over: number, pages: number): number {
  const penalty = Math.floor(Math.floor((over * over * HZ) / PRECISION) / SCALING);
  return Math.floor((penalty * pages) / CHARGE_BATCH);
}
