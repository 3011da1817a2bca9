// Charges that each cpu has made in advance for the cgroup that it charged last, so that most charges touch no counter.
// They count as used: a limit that is reached takes them back first. Kernel counterpart: struct memcg_stock_pcp in
// mm/memcontrol.c.
import type { CgroupIds } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** Pages that are charged at once, and the most that a cpu keeps. @see MEMCG_CHARGE_BATCH */
export const CHARGE_BATCH = 64;

export class Stocks {
  private readonly ids: CgroupIds;
  /** By cpu: for whom, and how many pages. */
  private readonly owners: Int32Array;
  private readonly pages: Int32Array;

  constructor(ids: CgroupIds, cpus: number) {
    this.ids = ids;
    this.owners = new Int32Array(cpus);
    this.pages = new Int32Array(cpus);
  }

  /** Takes pages that a cpu has in stock for a cgroup. @returns false when it has too few, or another's @see consume_stock() */
  consume(cpu: number, id: number, pages: number): boolean {
    if (this.owners[cpu] !== id) return false;
    const left = (this.pages[cpu] as number) - pages;
    if (left < 0) return false;
    this.pages[cpu] = left;
    return true;
  }

  /** Puts pages that are charged into stock. Another's go back to him. @see refill_stock() */
  refill(cpu: number, id: number, pages: number): void {
    if (this.owners[cpu] !== id) {
      this.drain(cpu);
      this.owners[cpu] = id;
    }
    const stocked = (this.pages[cpu] as number) + pages;
    this.pages[cpu] = stocked;
    if (stocked > CHARGE_BATCH) this.drain(cpu);
  }

  /** Gives back what all cpus have in stock for a cgroup and those below. @see drain_all_stock() */
  drainAll(root: MemoryCgroup): void {
    for (let cpu = 0; cpu < this.owners.length; cpu++)
      if (this.ids.find(this.owners[cpu] as number)?.isBelowOrSame(root) === true) this.drain(cpu);
  }

  /** Pages in stock for a cgroup itself. */
  of(id: number): number {
    return this.owners.reduce((sum, owner, cpu) => sum + (owner === id ? (this.pages[cpu] as number) : 0), 0);
  }

  private drain(cpu: number): void {
    const pages = this.pages[cpu] as number;
    if (pages > 0) this.ids.cgroup(this.owners[cpu] as number).memory.uncharge(pages);
    this.pages[cpu] = 0;
    this.owners[cpu] = 0;
  }
}
