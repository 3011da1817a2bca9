// Page charges: made at allocation, moved by migration, dropped at freeing. Two bytes per page hold the cgroup id. No
// list is needed for that, so device pages are charged like RAM. Kernel counterpart: charge_memcg(), uncharge_batch()
// and mem_cgroup_migrate() in mm/memcontrol.c.
import { bugOn, KernelBug, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import type { MmStruct, PageCharging, Process, Vm } from "@hetmem/mm";
import type { ReclaimGroups } from "@hetmem/mm/ports";
import type { PageAllocator } from "@hetmem/zone";
import { type CgroupIds, NOBODY, ROOT_ID } from "./cgroup-ids.ts";
import type { CgroupLruvecs } from "./cgroup-lruvecs.ts";
import { reparentIfDevice } from "./device-charges.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import type { CgroupStats } from "./stat/cgroup-stats.ts";
import { CgroupItem } from "./stat/items.ts";
import { CHARGE_BATCH, type Stock, type Stocks } from "./stock.ts";
import { recordSwapCharge, recordSwapUncharge } from "./swap-charge.ts";

/** A module-local copy for the hot paths: V8 reads an imported binding at each use. */
const UNPAID = NOBODY;

export class PageAccounting implements PageCharging {
  readonly counts: CgroupStats;
  /** Port of reclaim to cgroups; set by Limits. */
  groups: ReclaimGroups | undefined = undefined;
  handleOverHigh: ((process: Process) => Sleeps<void> | undefined) | undefined = undefined;
  private readonly cgroups: MemoryCgroups;
  private readonly ids: CgroupIds;
  /** The owner of each page: the array of MemoryCgroups, which replaces it when the array grows. */
  owners: Uint16Array;
  private readonly stocks: Stocks;
  /** The stock of the cpu that charged last. */
  private stock: Stock;
  private readonly lists: CgroupLruvecs;
  private readonly allocator: PageAllocator;

  constructor(cgroups: MemoryCgroups) {
    this.cgroups = cgroups;
    this.ids = cgroups.ids;
    this.owners = cgroups.owners;
    this.stocks = cgroups.stocks;
    this.stock = cgroups.stocks.ofCpu(0);
    this.counts = cgroups.stats;
    this.lists = cgroups.lruvecs;
    this.allocator = cgroups.memory.allocator;
  }

  start(vm: Vm): void {
    this.cgroups.start(vm);
  }

  lruvec(page: Page, node: NodeId): number {
    return this.lists.ofPage(page, node);
  }

  tryCharge(mm: MmStruct | undefined, page: Page, pages: number): boolean {
    if (mm === undefined) return true;
    const { payer } = mm;
    const { stock, owners } = this;
    // Fast path: nearly every charge is a small page for the cgroup in stock.
    if (pages !== 1 || stock.cpu !== this.allocator.cpu || !stock.takeOne(payer))
      return this.tryChargeAny(payer, mm, page, pages);
    if (owners[page] !== UNPAID) this.chargedTwice(page);
    owners[page] = payer;
    return true;
  }

  *charge(mm: MmStruct | undefined, page: Page, pages: number, gfp: number): Sleeps<boolean> {
    if (mm === undefined) return true;
    return yield* this.chargePage(this.cgroups.ofMm(mm), mm, page, pages, gfp);
  }

  chargeRoot(page: Page): void {
    this.commit(ROOT_ID, page, 1, 1);
  }

  tryChargeKernel(payer: number, page: Page, pages: number): boolean {
    if (payer === NOBODY || payer === ROOT_ID || !this.cgroups.chargesKernel) return true;
    const cgroup = this.ids.cgroup(payer);
    if (!this.consume(payer, pages) && !this.tryRefill(payer, pages, undefined)) return false;
    this.commit(this.kernelId(cgroup), page, pages, 0);
    this.countKernel(cgroup, pages);
    return true;
  }

  *chargeSwapIn(
    mm: MmStruct | undefined,
    page: Page,
    device: number,
    slot: number,
    gfp: number,
  ): Sleeps<boolean> {
    const owner = this.cgroups.ofSlot(device, slot);
    const payer = owner?.online === true ? owner : mm ? this.cgroups.ofMm(mm) : this.cgroups.root;
    return yield* this.chargePage(payer, mm, page, 1, gfp);
  }

  uncharge(page: Page, pages: number): void {
    const id = this.owners[page] as number;
    if (id === NOBODY) return;
    this.disown(page, pages);
    this.giveBack(id, pages, 1);
  }

  unchargeBatch(pages: Int32Array, count: number): void {
    const { owners } = this;
    for (let i = 0; i < count;) {
      const id = owners[pages[i] as number] as number;
      const first = i;
      for (; i < count; i++) {
        const page = pages[i] as number;
        if (owners[page] !== id) break;
        owners[page] = UNPAID;
      }
      if (id !== UNPAID) this.giveBack(id, i - first, i - first);
    }
  }

  /** The id is recorded for each small page already; only pgpgin is adjusted. */
  split(head: Page, pages: number): void {
    const id = this.owners[head] as number;
    if (id !== NOBODY) this.ids.notePages(id, 0, pages - 1);
  }

  migrate(old: Page, fresh: Page): void {
    const { owners } = this;
    bugOn(owners[fresh] !== NOBODY, `page ${fresh} takes over a charge and has one`);
    const id = owners[old] as number;
    owners[fresh] = id;
    owners[old] = NOBODY;
    if (this.ids.removed[id] === 1) reparentIfDevice(this.cgroups, this.ids.cgroup(id), fresh);
  }

  tryChargeSwap(page: Page, device: number, slot: number): boolean {
    return recordSwapCharge(this.cgroups, page, device, slot);
  }

  swapIsFull(page: Page): void {
    const payer = this.cgroups.ofPage(page);
    if (payer) this.cgroups.overLimit.swapRefused(payer, undefined);
  }

  unchargeSwap(device: number, slot: number, pages: number): void {
    for (let i = 0; i < pages; i++) recordSwapUncharge(this.cgroups, device, slot + i);
  }

  /**
   * Charges a number of pages to a cgroup without sleeping, without recording an id in pages.
   *
   * @returns false when a limit refuses the charge
   */
  tryChargePages(cgroup: MemoryCgroup, pages: number, mm: MmStruct | undefined): boolean {
    const { id } = cgroup;
    if (id === ROOT_ID) return true;
    return this.consume(id, pages) || this.tryRefill(id, pages, mm);
  }

  /**
   * tryChargePages() with the policy at limits, which may sleep. If the cgroup is removed meanwhile, the charge is
   * still made to it.
   *
   * @param charged called after the charge, to record what was charged
   * @returns false when a limit refuses the charge
   * @see try_charge_memcg()
   */
  *chargePages(
    payer: MemoryCgroup,
    mm: MmStruct | undefined,
    pages: number,
    gfp: number,
    charged: () => void,
  ): Sleeps<boolean> {
    this.pin(payer, 1);
    try {
      for (let attempts = 0; !this.tryChargePages(payer, pages, mm); attempts++) {
        if (mm && this.cgroups.overLimit.owesMuch(mm)) {
          yield* this.cgroups.overLimit.handleOverHigh(mm, gfp);
          continue;
        }
        const over = this.refusing(payer, pages);
        if (over === undefined) continue;
        const refused = { payer, over, pages, gfp, mm, attempts };
        const verdict = yield* this.cgroups.overLimit.overMax(refused);
        if (verdict === "fail") return false;
        if (verdict === "retry") continue;
        payer.memory.charge(pages);
        break;
      }
      charged();
      return true;
    } finally {
      this.pin(payer, -1);
    }
  }

  /**
   * Adds references to a cgroup. References don't prevent removal; dropping the last one frees a removed cgroup
   * without charges.
   *
   * @see css_get(), css_put()
   */
  pin(cgroup: MemoryCgroup, by: number): void {
    const { pins } = this.ids;
    pins[cgroup.id] = (pins[cgroup.id] as number) + by;
    if (by < 0) this.cgroups.freeIfUnused(cgroup);
  }

  /** The kernel memory id of a cgroup, allocated at first use. @see get_obj_cgroup_from_memcg() */
  kernelId(cgroup: MemoryCgroup): number {
    if (cgroup.kernelId === NOBODY) cgroup.kernelId = this.ids.create(true, () => cgroup);
    return cgroup.kernelId;
  }

  /** Counts pages as kernel memory of a cgroup, or uncounts them when negative. @see memcg_account_kmem() */
  countKernel(cgroup: MemoryCgroup, pages: number): void {
    this.counts.add(cgroup.id, CgroupItem.kmem, pages);
    if (pages > 0) cgroup.kmem.charge(pages);
    else cgroup.kmem.uncharge(-pages);
  }

  private tryChargeAny(payer: number, mm: MmStruct, page: Page, pages: number): boolean {
    const id = payer === NOBODY ? ROOT_ID : payer;
    // The root has no limit, and its own charges aren't counted in its counter.
    if (id !== ROOT_ID && !this.consume(id, pages) && !this.tryRefill(id, pages, mm)) return false;
    this.commit(id, page, pages, 1);
    return true;
  }

  private consume(id: number, pages: number): boolean {
    this.stock = this.stocks.ofCpu(this.allocator.cpu);
    return this.stock.consume(id, pages);
  }

  private *chargePage(
    payer: MemoryCgroup,
    mm: MmStruct | undefined,
    page: Page,
    pages: number,
    gfp: number,
  ): Sleeps<boolean> {
    return yield* this.chargePages(payer, mm, pages, gfp, () => {
      this.commit(payer.id, page, pages, 1);
      if (!payer.online) reparentIfDevice(this.cgroups, payer, page);
    });
  }

  /**
   * Records the id of charged pages.
   *
   * @param units pages for pgpgin: compound pages count once, kernel pages not at all
   * @see commit_charge()
   */
  private commit(id: number, page: Page, pages: number, units: number): void {
    const { owners } = this;
    if (owners[page] !== NOBODY) this.chargedTwice(page);
    if (pages === 1) owners[page] = id;
    else owners.fill(id, page, page + pages);
    this.ids.notePages(id, pages, units);
  }

  private disown(page: Page, pages: number): void {
    if (pages === 1) this.owners[page] = NOBODY;
    else this.owners.fill(NOBODY, page, page + pages);
  }

  /** Drops the charges of pages. @param units pages for pgpgout: compound pages count once @see uncharge_batch() */
  private giveBack(id: number, pages: number, units: number): void {
    const { ids } = this;
    const left = ((ids.pages[id] as number) - pages) | 0;
    ids.pages[id] = left;
    const cgroup = ids.cgroup(id);
    const ofKernel = ids.kernel[id] === 1;
    if (ofKernel) this.countKernel(cgroup, -pages);
    else this.counts.add(id, CgroupItem.pgpgout, units);
    if (id !== ROOT_ID) cgroup.memory.uncharge(pages);
    // The count may be below zero until the pages taken from stocks are settled.
    if (left <= 0) this.lastCharge(id, cgroup, ofKernel);
  }

  /** Frees the id, and a removed cgroup, when the last charge is dropped. */
  private lastCharge(id: number, cgroup: MemoryCgroup, ofKernel: boolean): void {
    if (!ofKernel) this.cgroups.freeIfUnused(cgroup);
    else this.cgroups.releaseKernelId(id, cgroup);
  }

  /**
   * Charges a batch, of which the rest goes into the cpu's stock. If a limit refuses the batch, charges only `pages`.
   */
  private tryRefill(id: number, pages: number, mm: MmStruct | undefined): boolean {
    if (mm !== undefined && this.cgroups.overLimit.owesMuch(mm)) return false;
    const cgroup = this.ids.cgroup(id);
    const { memory } = cgroup;
    const batch = Math.max(CHARGE_BATCH, pages);
    let charged = batch;
    if (memory.tryCharge(batch) !== undefined) {
      charged = pages;
      const over = batch > pages ? memory.tryCharge(pages) : memory;
      if (over !== undefined && !this.tryAfterDraining(cgroup, pages)) return false;
    }
    if (charged > pages) this.stocks.refill(this.allocator.cpu, id, charged - pages);
    for (let at: MemoryCgroup | undefined = cgroup; at !== undefined; at = at.parent) {
      if (at.memory.usage <= at.memory.high && at.swap.usage <= at.swap.high) continue;
      this.cgroups.overLimit.aboveHigh(cgroup, charged, mm);
      break;
    }
    return true;
  }

  /** Drains the stocks of the refusing cgroup, whose unused charges count against its limit, and tries again. */
  private tryAfterDraining(cgroup: MemoryCgroup, pages: number): boolean {
    const over = this.refusing(cgroup, pages);
    if (over === undefined) return cgroup.memory.tryCharge(pages) === undefined;
    this.stocks.drainAll(over);
    if (cgroup.memory.tryCharge(pages) === undefined) return true;
    if (!this.cgroups.overLimit.mayForce(cgroup, over)) return false;
    cgroup.memory.charge(pages);
    return true;
  }

  /** The lowest cgroup whose limit refuses a charge; undefined when none does any more. */
  private refusing(cgroup: MemoryCgroup, pages: number): MemoryCgroup | undefined {
    for (let at: MemoryCgroup | undefined = cgroup; at !== undefined; at = at.parent)
      if (at.memory.usage + pages > at.memory.max) return at;
    return undefined;
  }

  private chargedTwice(page: Page): never {
    throw new KernelBug(`page ${page} is charged twice: to ${this.cgroups.ofPage(page)?.path}`);
  }
}
