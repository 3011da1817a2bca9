// Per-cpu stocks: charges made in advance for the cgroup that the cpu charged last, so that most charges touch no
// counter. Stocked charges count as usage, and are drained when a limit is reached. The number of pages taken from a
// stock is added to the cgroup's counts on demand, by settle(). Kernel counterpart: struct memcg_stock_pcp in
// mm/memcontrol.c.
import { type CgroupIds, NOBODY } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** Pages charged in one batch, and maximum pages in a stock. @see MEMCG_CHARGE_BATCH */
export const CHARGE_BATCH = 64;

/** The stock of one cpu. */
export class Stock {
  readonly cpu: number;
  /** Id of the cgroup with stocked charges. */
  id: number = NOBODY;
  pages = 0;
  /**
   * Value of `pages` at the last settle(), adjusted by consume() and refill(): the difference is the number of pages
   * taken by takeOne().
   */
  counted = 0;

  constructor(cpu: number) {
    this.cpu = cpu;
  }

  /**
   * Takes one charge from the stock for a page that will carry the cgroup's id. CgroupIds.settle() counts it later.
   *
   * @returns false when the stock is empty or belongs to another cgroup
   */
  takeOne(id: number): boolean {
    const { pages } = this;
    if (this.id !== id || pages === 0) return false;
    this.pages = pages - 1;
    return true;
  }

  /**
   * Takes charges from the stock; the caller counts them.
   *
   * @returns false when the stock has fewer or belongs to another cgroup
   * @see consume_stock()
   */
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

  /** Adds charges to a cpu's stock. A stock of another cgroup is drained first. @see refill_stock() */
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

  /** Uncharges the stocks of all cpus for a cgroup and its descendants. @see drain_all_stock() */
  drainAll(root: MemoryCgroup): void {
    for (const stock of this.stocks)
      if (this.ids.find(stock.id)?.isBelowOrSame(root) === true) this.drain(stock);
  }

  /** Pages in all stocks for an id. */
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
