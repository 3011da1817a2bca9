// A hierarchical page counter with a limit: a charge is made at all levels or at none. Besides the usage it has a
// watermark, the number of refused charges, and protection from reclaim. Kernel counterpart: mm/page_counter.c.
import { bugOn } from "@hetmem/kernel";

/** No limit: LONG_MAX / PAGE_SIZE. */
export const PAGE_COUNTER_MAX: number = 2 ** 51 - 1;

/** The protection of a counter. Allocated at first use, since most counters have none. */
class Protection {
  min = 0;
  low = 0;
  /** Part of `usage` protected by min and low, as included in the parent's sums. */
  minUsage = 0;
  lowUsage = 0;
  /** Sums of minUsage and lowUsage over all children. */
  childrenMinUsage = 0;
  childrenLowUsage = 0;
  /** Effective protection, limited by the ancestors. @see mem_cgroup_calculate_protection() */
  emin = 0;
  elow = 0;
}

export class PageCounter {
  readonly parent: PageCounter | undefined;
  /** Charged pages of the cgroup and its descendants. */
  usage = 0;
  /** Limit in pages. */
  max: number = PAGE_COUNTER_MAX;
  /** Throttling threshold in pages. */
  high: number = PAGE_COUNTER_MAX;
  /** Highest usage since creation or the last reset, in pages. */
  watermark = 0;
  /** Number of charges refused by this counter. */
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

  /** Effective min and low against reclaim of an ancestor, in pages: see setEffective(). */
  get emin(): number {
    return this.protection?.emin ?? 0;
  }

  get elow(): number {
    return this.protection?.elow ?? 0;
  }

  /** Pages of children that their own min and low protect. */
  get childrenMinUsage(): number {
    return this.protection?.childrenMinUsage ?? 0;
  }

  get childrenLowUsage(): number {
    return this.protection?.childrenLowUsage ?? 0;
  }

  /** Charges pages regardless of limits. @see page_counter_charge() */
  charge(pages: number): void {
    this.add(pages);
    for (let at = this.parent; at !== undefined; at = at.parent) at.add(pages);
  }

  /**
   * Charges pages at this level and all above, unless a limit refuses.
   *
   * @returns undefined after charging; else the counter that refused, with nothing charged
   * @see page_counter_try_charge()
   */
  tryCharge(pages: number): PageCounter | undefined {
    if (!this.fits(pages)) return this;
    for (let at = this.parent; at !== undefined; at = at.parent) if (!at.fits(pages)) return at;
    this.charge(pages);
    return undefined;
  }

  /**
   * Uncharges pages at this level and all above.
   *
   * @throws KernelBug when fewer are charged
   * @see page_counter_uncharge()
   */
  uncharge(pages: number): void {
    this.cancel(pages);
    for (let at = this.parent; at !== undefined; at = at.parent) at.cancel(pages);
  }

  /** Uncharges pages at this level only. @throws KernelBug when fewer are charged @see page_counter_cancel() */
  cancel(pages: number): void {
    const usage = (this.usage - pages) | 0;
    this.usage = usage;
    if (usage < 0) bugOn(true, `a page counter gives back ${pages} pages and had ${usage + pages}`);
    if (this.protection !== undefined) this.propagate(this.protection);
  }

  /**
   * Sets the limit.
   *
   * @returns false when the usage is above it; the limit is then unchanged (EBUSY)
   * @see page_counter_set_max()
   */
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

  /** Sets the effective protection, in pages. @see mem_cgroup_calculate_protection() */
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

  /** Updates the parent's sums of protected usage. @see propagate_protected_usage() */
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
