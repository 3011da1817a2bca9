// A PageCharging that records every charged page and swap slot. Double charges, and uncharges in other units than the
// charges, are recorded as errors.
import type { Page, Sleeps } from "@hetmem/kernel";
import type { MmStruct, PageCharging } from "@hetmem/mm";

export class CountingCharging implements PageCharging {
  readonly lruvec = undefined;
  readonly counts = undefined;
  readonly groups = undefined;
  readonly handleOverHigh = undefined;
  readonly wrong: string[] = [];
  /** By first page: number of small pages charged together. */
  private readonly charges = new Map<Page, number>();
  /** Swap slots that are charged. */
  private readonly paidSlots = new Set<string>();

  get slots(): number {
    return this.paidSlots.size;
  }

  /** Small pages that are charged. */
  get pages(): number {
    return [...this.charges.values()].reduce((sum, pages) => sum + pages, 0);
  }

  tryCharge(mm: MmStruct | undefined, page: Page, pages: number): boolean {
    if (this.charges.has(page)) this.wrong.push(`page ${page} is charged twice`);
    if (mm) this.charges.set(page, pages);
    return true;
  }

  start(): void {}

  chargeRoot(page: Page): void {
    if (this.charges.has(page)) this.wrong.push(`page ${page} is charged twice`);
    this.charges.set(page, 1);
  }

  tryChargeKernel(_payer: number, page: Page, pages: number): boolean {
    if (this.charges.has(page)) this.wrong.push(`page ${page} is charged twice`);
    this.charges.set(page, pages);
    return true;
  }

  *chargeSwapIn(_mm: MmStruct | undefined, page: Page): Sleeps<boolean> {
    if (this.charges.has(page)) this.wrong.push(`page ${page} is charged twice`);
    this.charges.set(page, 1);
    return true;
  }

  *charge(mm: MmStruct | undefined, page: Page, pages: number): Sleeps<boolean> {
    return this.tryCharge(mm, page, pages);
  }

  uncharge(page: Page, pages: number): void {
    const charged = this.charges.get(page) ?? pages;
    if (charged !== pages) this.wrong.push(`${pages} of ${charged} pages at ${page} are given back`);
    this.charges.delete(page);
  }

  unchargeBatch(pages: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.uncharge(pages[i] as Page, 1);
  }

  swapIsFull(): void {}

  split(head: Page, pages: number): void {
    if (this.charges.delete(head)) for (let i = 0; i < pages; i++) this.charges.set((head + i) as Page, 1);
  }

  migrate(old: Page, fresh: Page): void {
    const charged = this.charges.get(old);
    if (this.charges.has(fresh)) this.wrong.push(`page ${fresh} has a charge already`);
    if (charged !== undefined) this.charges.set(fresh, charged);
    this.charges.delete(old);
  }

  tryChargeSwap(_page: Page, device: number, slot: number): boolean {
    if (this.paidSlots.has(`${device}:${slot}`)) this.wrong.push(`slot ${slot} is charged twice`);
    this.paidSlots.add(`${device}:${slot}`);
    return true;
  }

  unchargeSwap(device: number, first: number, pages: number): void {
    for (let slot = first; slot < first + pages; slot++)
      if (!this.paidSlots.delete(`${device}:${slot}`)) this.wrong.push(`slot ${slot} was paid for by nobody`);
  }
}
