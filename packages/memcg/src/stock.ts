// Charges that each cpu has made in advance for the cgroup that it charged last, so that most charges touch no counter.
// They count as used: a limit that is reached takes them back first. How many pages carry the cgroup's id is counted when
// somebody asks: those that were taken from stock since. Kernel counterpart: struct memcg_stock_pcp in mm/memcontrol.c.
import { type CgroupIds, NOBODY } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** Pages that are charged at once, and the most that a cpu keeps. @see MEMCG_CHARGE_BATCH */
export const CHARGE_BATCH = 64;

/** What one cpu has. */
export class Stock {
  readonly cpu: number;
  /** For whom. */
  id: number = NOBODY;
  pages = 0;
  /** How many there were when those that takeOne() has taken were last counted. */
  counted = 0;

  constructor(cpu: number) {
    this.cpu = cpu;
  }

  /**
   * Takes a page that is in stock for a cgroup, for one that carries its id from now on: see CgroupIds.settle().
   *
   * @returns false when there is none, or it is another's
   */
  takeOne(id: number): boolean {
    const { pages } = this;
    if (this.id !== id || pages === 0) return false;
    this.pages = pages - 1;
    return true;
  }

  /** The same of more, or for something else: whoever takes them counts them. @see consume_stock() */
  consume(id: number, pages: number): boolean {
    if (this.id !== id || this.pages < pages) return false;
    this.pages -= pages;
    this.counted -= pages;
    return true;
  }
}

export class Stocks {
  private readonly ids: CgroupIds;
  private readonly stocks: readonly Stock[];

  constructor(ids: CgroupIds, cpus: number) {
    this.ids = ids;
    this.stocks = Array.from({ length: cpus }, (_, cpu) => new Stock(cpu));
    ids.settle = () => {
      for (const stock of this.stocks) this.settle(stock);
    };
  }

  ofCpu(cpu: number): Stock {
    return this.stocks[cpu] as Stock;
  }

  /** Puts pages that are charged into stock. Another's go back to him. @see refill_stock() */
  refill(cpu: number, id: number, pages: number): void {
    const stock = this.ofCpu(cpu);
    if (stock.id !== id) {
      this.drain(stock);
      stock.id = id;
    }
    stock.pages += pages;
    stock.counted += pages;
    if (stock.pages > CHARGE_BATCH) this.drain(stock);
  }

  /** Gives back what all cpus have in stock for a cgroup and those below. @see drain_all_stock() */
  drainAll(root: MemoryCgroup): void {
    for (const stock of this.stocks)
      if (this.ids.find(stock.id)?.isBelowOrSame(root) === true) this.drain(stock);
  }

  /** Pages in stock for a cgroup itself. */
  of(id: number): number {
    return this.stocks.reduce((sum, stock) => sum + (stock.id === id ? stock.pages : 0), 0);
  }

  private drain(stock: Stock): void {
    this.settle(stock);
    if (stock.pages > 0) this.ids.cgroup(stock.id).memory.uncharge(stock.pages);
    stock.pages = 0;
    stock.counted = 0;
    stock.id = NOBODY;
  }

  private settle(stock: Stock): void {
    const taken = stock.counted - stock.pages;
    if (taken === 0) return;
    stock.counted = stock.pages;
    this.ids.notePages(stock.id, taken, taken);
  }
}
