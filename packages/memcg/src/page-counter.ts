// A counter of pages that may have a limit, and counts for those above it too: a charge is taken at every level or at
// none. Beside its usage it knows the highest it has been, how often it refused, and what of it is protected from
// reclaim. Kernel counterpart: mm/page_counter.c.
import { bugOn } from "@hetmem/kernel";

/** No limit: LONG_MAX / PAGE_SIZE. */
export const PAGE_COUNTER_MAX: number = 2 ** 51 - 1;

/** What of a counter is protected. Most counters have none, and do without. */
class Protection {
  min = 0;
  low = 0;
  /** What of `usage` is protected by its own settings, as the counter above has added it up. */
  minUsage = 0;
  lowUsage = 0;
  /** The same of all counters below. */
  childrenMinUsage = 0;
  childrenLowUsage = 0;
  /** What is left of the settings after those above had their say. @see mem_cgroup_calculate_protection() */
  emin = 0;
  elow = 0;
}

export class PageCounter {
  readonly parent: PageCounter | undefined;
  /** Pages that are charged here and below. */
  usage = 0;
  /** The most that may be. */
  max: number = PAGE_COUNTER_MAX;
  /** Above this, who charges is slowed down. */
  high: number = PAGE_COUNTER_MAX;
  /** The highest usage ever, or since somebody reset it. */
  watermark = 0;
  /** Charges that this counter has refused. */
  failcnt = 0;
  private protection: Protection | undefined = undefined;

  constructor(parent: PageCounter | undefined) {
    this.parent = parent;
  }

  /** @see memory.min in Documentation/admin-guide/cgroup-v2.rst */
  get min(): number {
    return this.protection?.min ?? 0;
  }

  get low(): number {
    return this.protection?.low ?? 0;
  }

  /** The part of min that holds against reclaim of those above: see setEffective(). */
  get emin(): number {
    return this.protection?.emin ?? 0;
  }

  get elow(): number {
    return this.protection?.elow ?? 0;
  }

  /** Pages in use below that are protected by the settings there. */
  get childrenMinUsage(): number {
    return this.protection?.childrenMinUsage ?? 0;
  }

  get childrenLowUsage(): number {
    return this.protection?.childrenLowUsage ?? 0;
  }

  /** Charges whatever the limits say. @see page_counter_charge() */
  charge(pages: number): void {
    this.add(pages);
    for (let at = this.parent; at !== undefined; at = at.parent) at.add(pages);
  }

  /**
   * Charges here and above, unless that would be over a limit.
   *
   * @returns undefined when it is charged; else the counter that refused, and nothing is charged
   * @see page_counter_try_charge()
   */
  tryCharge(pages: number): PageCounter | undefined {
    if (!this.fits(pages)) return this;
    for (let at = this.parent; at !== undefined; at = at.parent) if (!at.fits(pages)) return at;
    this.charge(pages);
    return undefined;
  }

  /** Gives a charge back, here and above. @throws KernelBug when there is less @see page_counter_uncharge() */
  uncharge(pages: number): void {
    this.cancel(pages);
    for (let at = this.parent; at !== undefined; at = at.parent) at.cancel(pages);
  }

  /** Gives a charge back here alone: those above keep it. @throws KernelBug when there is less @see page_counter_cancel() */
  cancel(pages: number): void {
    const usage = (this.usage - pages) | 0;
    this.usage = usage;
    if (usage < 0) bugOn(true, `a page counter gives back ${pages} pages and had ${usage + pages}`);
    if (this.protection !== undefined) this.propagate(this.protection);
  }

  /** Sets the limit. @returns false when more is in use: nothing has changed, EBUSY @see page_counter_set_max() */
  setMax(pages: number): boolean {
    if (this.usage > pages) return false;
    this.max = pages;
    return true;
  }

  /** @see page_counter_set_min() */
  setMin(pages: number): void {
    this.protect().min = pages;
    this.propagateUp();
  }

  /** @see page_counter_set_low() */
  setLow(pages: number): void {
    this.protect().low = pages;
    this.propagateUp();
  }

  /** Notes what of min and low holds. @see mem_cgroup_calculate_protection() */
  setEffective(emin: number, elow: number): void {
    if (this.protection === undefined && emin === 0 && elow === 0) return;
    const protection = this.protect();
    protection.emin = emin;
    protection.elow = elow;
  }

  private add(pages: number): void {
    const usage = (this.usage + pages) | 0;
    this.usage = usage;
    if (usage > this.watermark) this.watermark = usage;
    if (this.protection !== undefined) this.propagate(this.protection);
  }

  private fits(pages: number): boolean {
    if (this.usage + pages <= this.max) return true;
    this.failcnt++;
    return false;
  }

  private protect(): Protection {
    return (this.protection ??= new Protection());
  }

  private propagateUp(): void {
    if (this.protection !== undefined) this.propagate(this.protection);
    this.parent?.propagateUp();
  }

  /** What of the usage is protected has changed: the counter above adds it up. @see propagate_protected_usage() */
  private propagate(own: Protection): void {
    if (this.parent === undefined) return;
    const above = this.parent.protect();
    const min = Math.min(this.usage, own.min);
    above.childrenMinUsage += min - own.minUsage;
    own.minUsage = min;
    const low = Math.min(this.usage, own.low);
    above.childrenLowUsage += low - own.lowUsage;
    own.lowUsage = low;
  }
}
