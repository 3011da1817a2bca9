// The pool of huge pages (2 MiB) that an administrator sets aside. The pages are out of the reach of the page
// allocator, on no LRU list, and never split. Some of the free ones are reserved for mappings, so that a fault there
// can't fail. Surplus pages are allocated when the pool is too small, and freed as soon as they are unused. The pages
// come from zones for the kernel, as on machines that can't migrate huge pages. Kernel counterpart: struct hstate in
// include/linux/hugetlb.h, mm/hugetlb.c.
import { KernelBug, KernelError, Mutex, type NodeId, type Page, type Pfn, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, prepTranshugePage } from "@hetmem/mm/huge";
import { nodesWithMemory } from "@hetmem/mm/policy";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER, type HugePageCounts, type HugePages } from "@hetmem/zone";
import { NodeTurns } from "./node-turns.ts";
import "./version.ts";

/** Without Gfp.MOVABLE, since huge pages can't migrate here: they stay out of ZONE_MOVABLE. @see htlb_alloc_mask() */
export const GFP_HUGETLB: number = GFP_HIGHUSER | Gfp.COMP | Gfp.NOWARN | Gfp.RETRY_MAYFAIL;
/** Flags cleared on a page that returns to the pool. */
const CLEARED_ON_FREE = PageFlag.uptodate | PageFlag.dirty | PageFlag.referenced | PageFlag.anonExclusive;

export class HugetlbPool implements HugePages {
  /** Free pages that are reserved for mappings. @see resv_huge_pages */
  reserved = 0;
  /** Pages that the administrator asked for, lowered to what was allocated. @see max_huge_pages */
  wanted = 0;
  /** Surplus pages at most, an unsigned 64-bit number. @see nr_overcommit_huge_pages */
  overcommit: number | bigint = 0;
  readonly vm: Vm;
  /** Heads of all pages of the pool. */
  private readonly members = new Set<Page>();
  /** Free pages by node. The last of a list was freed last. */
  private readonly freeLists: readonly Page[][];
  /** Pages by node. */
  private readonly totals: number[];
  /** Surplus pages by node. */
  private readonly surpluses: number[];
  /**
   * Pages taken from a reservation and not mapped yet. If one is freed, its reservation is restored.
   *
   * @see HPageRestoreReserve
   */
  private readonly restoreReserve = new Set<Page>();
  private readonly resizeLock: Mutex;
  private readonly nextToAlloc = new NodeTurns();
  private readonly nextToFree = new NodeTurns();
  private lastInode = 0;

  constructor(vm: Vm) {
    this.vm = vm;
    this.freeLists = vm.memory.nodes.map(() => []);
    this.totals = vm.memory.nodes.map(() => 0);
    this.surpluses = vm.memory.nodes.map(() => 0);
    this.resizeLock = new Mutex(vm.kernel.lockdep, "hugetlb resize_lock");
  }

  /** Pages of all nodes, in huge pages. */
  get counts(): HugePageCounts {
    const free = this.freeLists.reduce((count, pages) => count + pages.length, 0);
    return { total: sum(this.totals), free, reserved: this.reserved, surplus: sum(this.surpluses) };
  }

  /** Pages of one node, in huge pages. */
  nodeCounts(node: NodeId): Omit<HugePageCounts, "reserved"> {
    return {
      total: this.totals[node] ?? 0,
      free: this.freeLists[node]?.length ?? 0,
      surplus: this.surpluses[node] ?? 0,
    };
  }

  /** Pages of the pool, in pages of 4 KiB. @see hugetlb_total_pages() */
  get totalPages(): number {
    return sum(this.totals) * HPAGE_PMD_NR;
  }

  /** Whether a page is the head of a page of the pool, free or in use. @see PageHuge() */
  owns(head: Page): boolean {
    return this.members.has(head);
  }

  /** Heads of the free pages, for invariants and for offlining. */
  freePages(): Page[] {
    return this.freeLists.flat();
  }

  /** The next inode number for the file of a mapping. */
  nextInode(): number {
    return ++this.lastInode;
  }

  /**
   * Resizes the pool, as far as possible: it stops nextToAlloc where memory is short, and pages in use become surplus
   * instead of being freed.
   *
   * @param count pages that the pool is to have, surplus excluded
   * @param node node that alone is changed, and is to have `count` pages; absent: all nodes in turn
   * @see set_max_huge_pages()
   */
  *resize(count: number, node?: NodeId): Sleeps<void> {
    yield* this.resizeLock.lock();
    try {
      const nodes = node === undefined ? nodesWithMemory(this.vm.memory) : [node];
      yield* this.resizeOn(nodes, node === undefined ? count : count + this.elsewhere(node));
      this.wanted = this.persistent;
    } finally {
      this.resizeLock.unlock();
    }
  }

  /**
   * Reserves free pages, and allocates surplus pages if too few are free.
   *
   * @param count pages
   * @param nodes nodes of surplus pages, in this order
   * @returns false if there aren't enough pages; nothing is reserved then
   * @see hugetlb_acct_memory(), gather_surplus_pages()
   */
  *reserve(count: number, nodes: readonly NodeId[]): Sleeps<boolean> {
    const fresh: Page[] = [];
    let enough = true;
    while (enough && this.reserved + count > this.counts.free + fresh.length) {
      const page = yield* this.allocSurplus(nodes);
      enough = page !== NULL_PAGE;
      if (enough) fresh.push(page);
    }
    if (enough) this.reserved += count;
    for (const page of fresh) {
      if (this.reserved > this.counts.free) this.enqueue(page);
      else this.free(page);
    }
    return enough;
  }

  /**
   * Drops reservations, and frees up to as many surplus pages.
   *
   * @param count pages
   * @see return_unused_surplus_pages()
   */
  unreserve(count: number): void {
    this.reserved -= count;
    const surplus = Math.min(count, this.counts.surplus);
    for (let i = 0; i < surplus; i++) if (!this.removeOne(this.surpluses)) return;
  }

  /**
   * Takes a reserved page, with one reference. If it is freed before keep(), its reservation is restored.
   *
   * @param nodes nodes it may be on, in this order
   * @returns NULL_PAGE if all free pages are on other nodes and there may be no surplus page
   * @see alloc_huge_page()
   */
  *takePromised(nodes: readonly NodeId[]): Sleeps<Page> {
    const found = this.dequeue(nodes);
    const page = found === NULL_PAGE ? yield* this.allocSurplus(nodes) : found;
    if (page === NULL_PAGE) return page;
    this.reserved--;
    this.restoreReserve.add(page);
    this.vm.memmap.setRefcount(page, 1);
    return page;
  }

  /**
   * Takes a page that isn't reserved, with one reference.
   *
   * @param nodes nodes it may be on, in this order
   * @returns NULL_PAGE if all free pages are reserved, or on other nodes, and there may be no surplus page
   */
  *takeFree(nodes: readonly NodeId[]): Sleeps<Page> {
    const found = this.counts.free > this.reserved ? this.dequeue(nodes) : (NULL_PAGE as Page);
    const page = found === NULL_PAGE ? yield* this.allocSurplus(nodes) : found;
    if (page !== NULL_PAGE) this.vm.memmap.setRefcount(page, 1);
    return page;
  }

  /** Uses up the reservation of a page of takePromised(): the page is mapped. */
  keep(page: Page): void {
    this.restoreReserve.delete(page);
  }

  /** Returns a page without references to the pool, or frees it if it is surplus. @see free_huge_page() */
  free(head: Page): void {
    const { memmap } = this.vm;
    memmap.clear(head, CLEARED_ON_FREE);
    memmap.setMapping(head, 0);
    const node = memmap.nodeOf(head);
    const restored = this.restoreReserve.delete(head);
    if (restored) this.reserved++;
    // A restored reservation needs a free page. (The kernel frees a surplus page even then.)
    if (restored || this.surpluses[node] === 0) return this.enqueue(head);
    this.surpluses[node] = (this.surpluses[node] as number) - 1;
    this.remove(head);
  }

  /**
   * Frees the free pages of a range whose memory goes offline. The pool is smaller afterwards.
   *
   * @param start first frame
   * @param end frame behind the last
   * @throws KernelError EBUSY if all free pages are reserved; pages before have been freed
   * @see dissolve_free_huge_pages()
   */
  dissolveFree(start: Pfn, end: Pfn): void {
    const { memmap } = this.vm;
    const within = (page: Page): boolean => memmap.pageToPfn(page) >= start && memmap.pageToPfn(page) < end;
    for (const page of this.freePages()
      .filter(within)
      .sort((a, b) => a - b)) {
      if (this.reserved >= this.counts.free) {
        throw new KernelError(
          "EBUSY",
          `huge page 0x${memmap.pageToPfn(page).toString(16)} of the pool is free, but all ${this.reserved} that are free are promised to mappings: raise vm.nr_hugepages`,
        );
      }
      const free = this.freeLists[memmap.nodeOf(page)] as Page[];
      free.splice(free.indexOf(page), 1);
      this.wanted--;
      this.remove(page);
    }
  }

  /** Pages that aren't surplus. @see persistent_huge_pages() */
  private get persistent(): number {
    const { total, surplus } = this.counts;
    return total - surplus;
  }

  /** Pages on other nodes. */
  private elsewhere(node: NodeId): number {
    return this.counts.total - (this.totals[node] ?? 0);
  }

  /**
   * Resizes the pool on some nodes. Surplus pages become persistent before new ones are allocated; the reserve stays.
   */
  private *resizeOn(nodes: readonly NodeId[], count: number): Sleeps<void> {
    while (count > this.persistent && this.adjustSurplus(nodes, -1));
    while (count > this.persistent) if (!(yield* this.grow(nodes))) return;
    const { total, free } = this.counts;
    const least = Math.max(count, this.reserved + total - free);
    while (least < this.persistent && this.removeOne(undefined, nodes));
    while (count < this.persistent && this.adjustSurplus(nodes, 1));
  }

  /**
   * Allocates one page on the next node in turn, or on one behind it.
   *
   * @returns false if no node has memory
   * @see alloc_pool_huge_page()
   */
  private *grow(nodes: readonly NodeId[]): Sleeps<boolean> {
    for (const node of this.nextToAlloc.round(nodes)) {
      const page = yield* this.allocFresh(node);
      if (page === NULL_PAGE) continue;
      this.enqueue(page);
      return true;
    }
    return false;
  }

  /**
   * Makes one page surplus, or one surplus page persistent, on the next node in turn where that is possible.
   *
   * @see adjust_pool_surplus()
   */
  private adjustSurplus(nodes: readonly NodeId[], by: 1 | -1): boolean {
    const turns = by < 0 ? this.nextToAlloc : this.nextToFree;
    for (const node of turns.round(nodes)) {
      const surplus = this.surpluses[node] as number;
      if (by < 0 ? surplus === 0 : surplus === this.totals[node]) continue;
      this.surpluses[node] = surplus + by;
      return true;
    }
    return false;
  }

  /**
   * Frees a free page of the next node in turn that has one.
   *
   * @param counted counts by node: only a node with a count above 0 is used, and its count becomes lower; undefined:
   *   all nodes
   * @returns false if no node has such a page
   * @see remove_pool_huge_page()
   */
  private removeOne(
    counted: number[] | undefined,
    nodes: readonly NodeId[] = nodesWithMemory(this.vm.memory),
  ): boolean {
    for (const node of this.nextToFree.round(nodes)) {
      if (counted?.[node] === 0) continue;
      const page = this.freeLists[node]?.pop();
      if (page === undefined) continue;
      if (counted) counted[node] = (counted[node] as number) - 1;
      this.remove(page);
      return true;
    }
    return false;
  }

  /**
   * Allocates a surplus page, with no reference.
   *
   * @returns NULL_PAGE if the limit is reached or no node has memory
   * @see alloc_surplus_huge_page()
   */
  private *allocSurplus(nodes: readonly NodeId[]): Sleeps<Page> {
    for (const node of nodes) {
      if (this.counts.surplus >= this.overcommit) break;
      const page = yield* this.allocFresh(node);
      if (page === NULL_PAGE) continue;
      this.surpluses[node] = (this.surpluses[node] as number) + 1;
      if (this.counts.surplus <= this.overcommit) return page;
      // Another task has allocated one while this slept, and the limit is exceeded.
      this.free(page);
    }
    return NULL_PAGE as Page;
  }

  /** Allocates a page on one node for the pool, with no reference. @see alloc_fresh_huge_page() */
  private *allocFresh(node: NodeId): Sleeps<Page> {
    const { memmap, pages } = this.vm;
    const page = yield* pages.allocUncharged(GFP_HUGETLB | Gfp.THISNODE, HPAGE_PMD_ORDER, node, undefined);
    if (page === NULL_PAGE) return page;
    prepTranshugePage(memmap, page);
    memmap.setRefcount(page, 0);
    this.members.add(page);
    this.totals[node] = (this.totals[node] as number) + 1;
    return page;
  }

  /** Takes a page off the free list of the first node that has one. @see dequeue_huge_page_node_exact() */
  private dequeue(nodes: readonly NodeId[]): Page {
    for (const node of nodes) {
      const page = this.freeLists[node]?.pop();
      if (page !== undefined) return page;
    }
    return NULL_PAGE as Page;
  }

  private enqueue(page: Page): void {
    this.freeLists[this.vm.memmap.nodeOf(page)]?.push(page);
  }

  /** Removes a page from the pool, and gives it to the page allocator. @see remove_hugetlb_page() */
  private remove(page: Page): void {
    const { memmap, memory } = this.vm;
    const node = memmap.nodeOf(page);
    this.members.delete(page);
    this.totals[node] = (this.totals[node] as number) - 1;
    memory.allocator.freeUnrefPages(page, HPAGE_PMD_ORDER);
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** The pool of a machine. @throws KernelBug if the machine was made without hugetlbParts */
export function hugetlbPool({ hugetlb }: Vm): HugetlbPool {
  if (!(hugetlb instanceof HugetlbPool))
    throw new KernelBug(
      "the machine has no HugetlbPool of this copy of @hetmem/hugetlb: give Vm its hugetlbParts",
    );
  return hugetlb;
}
