// Allocation, charging, freeing and uncharging of the pages of processes, files and page tables. Only the pages of
// the hugetlb pool and the zero page come from elsewhere. Kernel counterparts: alloc_pages_vma(),
// mem_cgroup_charge(), __put_page() in mm/swap.c, pte_alloc_one() in arch/x86/mm/pgtable.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_KERNEL_ACCOUNT, NodeStat, type PageAllocator, ZoneType } from "@hetmem/zone";
import type { PageCharging } from "./ports/charging.ts";
import type { MmStruct } from "./mm-struct.ts";
import type { Lru } from "./lru/lru.ts";
import { addNodeStat } from "./node-stat.ts";
import type { Vm } from "./vm.ts";
import { clearPageMlocked } from "./vma/mlock-page.ts";

const GFP_TABLE = GFP_KERNEL_ACCOUNT | Gfp.ZERO;
/** The fast path of put() takes pages with PageFlag.lru alone of these. Others go to putPage(). */
const SLOW_PUT_FLAGS = PageFlag.lru | PageFlag.head | PageFlag.tail | PageFlag.unevictable | PageFlag.mlocked;
const RAM_ZONES = [ZoneType.DMA, ZoneType.DMA32, ZoneType.Normal, ZoneType.Movable];

/** Allocator of the pages of processes, files and page tables of a machine. */
export class UserPages {
  private readonly vm: Vm;
  private readonly memmap: MemMap;
  private readonly allocator: PageAllocator;
  private readonly charging: PageCharging;
  private readonly lru: Lru;

  constructor(vm: Vm) {
    this.vm = vm;
    this.memmap = vm.memmap;
    this.allocator = vm.memory.allocator;
    this.charging = vm.charging;
    this.lru = vm.lru;
    for (const zone of RAM_ZONES) this.memmap.setFreePage(zone, (page) => this.free(page));
  }

  /**
   * Allocates 2^order zeroed, charged pages with one reference, without sleeping.
   *
   * @param gfp Gfp bits
   * @param near the preferred node
   * @param mm the address space that is charged; undefined for no charge
   * @returns NULL_PAGE when memory or the charge needs reclaim: see alloc()
   */
  tryAlloc(gfp: number, order: number, near: NodeId, mm: MmStruct | undefined): Page {
    const page = this.allocator.allocPages(gfp, order, near);
    if (page === NULL_PAGE || this.charging.tryCharge(mm, page, 1 << order)) return page;
    this.allocator.freePages(page, order);
    return NULL_PAGE as Page;
  }

  /**
   * Allocates a page of the kernel for a process, without sleeping.
   *
   * @param payer id of the memory cgroup that is charged: MmStruct.payer
   * @returns NULL_PAGE when memory is short or the charge fails
   * @see __GFP_ACCOUNT
   */
  tryAllocKernel(gfp: number, near: NodeId, payer: number): Page {
    const page = this.allocator.allocPages(gfp, 0, near);
    if (page === NULL_PAGE || this.charging.tryChargeKernel(payer, page, 1)) return page;
    this.allocator.freePages(page, 0);
    return NULL_PAGE as Page;
  }

  /**
   * tryAlloc() with reclaim and the OOM killer.
   *
   * @param nodemask the allowed nodes, all of which tryAlloc() found empty; absent: all nodes
   * @returns NULL_PAGE when that didn't help: VM_FAULT_OOM
   */
  *alloc(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page> {
    const page = yield* this.allocUncharged(gfp, order, near, mm, nodemask);
    return page === NULL_PAGE ? page : yield* this.charge(mm, page, order, gfp);
  }

  /**
   * alloc() without the charge, for pages that take over a charge or are charged to another cgroup later.
   *
   * @param mm the address space that needs the pages; undefined for the kernel
   */
  *allocUncharged(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page> {
    const page = nodemask === undefined ? this.allocator.allocPages(gfp, order, near) : (NULL_PAGE as Page);
    return page === NULL_PAGE ? yield* this.vm.reclaim.allocSlowly(gfp, order, near, mm, nodemask) : page;
  }

  /** Charges uncharged new pages. @returns NULL_PAGE when the charge fails, and then the pages are freed */
  *charge(mm: MmStruct | undefined, page: Page, order: number, gfp: number): Sleeps<Page> {
    const { charging } = this;
    const pages = 1 << order;
    if (charging.tryCharge(mm, page, pages) || (yield* charging.charge(mm, page, pages, gfp))) return page;
    this.allocator.freePages(page, order);
    return NULL_PAGE as Page;
  }

  /**
   * Drops a reference on a small page. The last one frees the page, on a fast path if it is on an LRU list.
   *
   * @see put_page()
   */
  put(page: Page): void {
    const { memmap } = this;
    if (memmap.refcount(page) !== 1 || (memmap.flags(page) & SLOW_PUT_FLAGS) !== PageFlag.lru) {
      // The swap slot of the page is freed if no entry uses it any more.
      if (memmap.test(page, PageFlag.swapcache)) this.vm.swap.freeSwapCache(page);
      return memmap.putPage(page);
    }
    this.lru.remove(page);
    memmap.clear(page, PageFlag.active);
    this.charging.uncharge(page, 1);
    this.allocator.freePages(page, 0);
  }

  /** put() for the source page of a migration, which is on no LRU list. @see migrate_folio_done() */
  putMigrated(page: Page): void {
    const { memmap } = this;
    if (memmap.refcount(page) !== 1 || (memmap.flags(page) & SLOW_PUT_FLAGS) !== 0)
      return memmap.putPage(page);
    this.charging.uncharge(page, 1);
    this.allocator.freePages(page, 0);
  }

  /**
   * put() for the pages that one table mapped. Three short loops over pages in the cache are faster than a long one.
   *
   * @param pages overwritten
   * @see release_pages()
   */
  putBatch(pages: Int32Array, count: number): void {
    const { memmap, lru, charging, allocator } = this;
    let last = 0;
    for (let i = 0; i < count; i++) {
      const page = pages[i] as Page;
      if (memmap.refcount(page) !== 1 || (memmap.flags(page) & SLOW_PUT_FLAGS) !== PageFlag.lru) {
        this.put(page);
        continue;
      }
      lru.remove(page);
      memmap.clear(page, PageFlag.active);
      pages[last++] = page;
    }
    charging.unchargeBatch(pages, last);
    for (let i = 0; i < last; i++) allocator.freePages(pages[i] as Page, 0);
  }

  /** putMigrated() for the first `count` pages of an array, which are isolated and locked, with one reference each. */
  putMigratedBatch(pages: Int32Array, count: number): void {
    const { allocator, charging, lru } = this;
    lru.forgetMoved(pages, count);
    charging.unchargeBatch(pages, count);
    for (let i = 0; i < count; i++) allocator.freePages(pages[i] as Page, 0);
  }

  /** Frees a page of RAM without references. Called only by the memmap. @see __put_page() */
  free(page: Page): void {
    const { memmap } = this;
    const flags = memmap.flags(page);
    if ((flags & PageFlag.head) !== 0 && this.vm.hugetlb.owns(page)) return this.vm.hugetlb.free(page);
    if ((flags & PageFlag.lru) !== 0) {
      this.lru.remove(page);
      memmap.clear(page, PageFlag.active | PageFlag.unevictable);
    }
    if ((flags & PageFlag.mlocked) !== 0) clearPageMlocked(this.vm, page);
    const order = memmap.compoundOrder(page);
    if (order > 0) this.vm.deferredSplits.forget(page);
    this.charging.uncharge(page, 1 << order);
    this.allocator.freeUnrefPages(page, order);
  }

  /**
   * Allocates a page table.
   *
   * @returns NULL_PAGE when memory is short or the charge fails
   * @see pte_alloc_one()
   */
  allocTable(payer: number, near: NodeId): Page {
    const page = this.tryAllocKernel(GFP_TABLE, near, payer);
    if (page === NULL_PAGE) return page;
    this.memmap.set(page, PageFlag.table);
    this.countTable(page, 1);
    return page;
  }

  freeTable(page: Page): void {
    this.memmap.clear(page, PageFlag.table);
    this.countTable(page, -1);
    this.memmap.putPage(page);
  }

  private countTable(page: Page, by: number): void {
    addNodeStat(this.vm, page, NodeStat.nr_page_table_pages, by);
  }
}
