// The pool of huge pages that an administrator sets aside: 2 MiB each, out of the allocator's reach, on no LRU list, never
// divided. Some of the free ones are promised to mappings, so that a touch there can't fail; surplus ones are made when the
// pool is too small, and go as soon as they are free. Kernel counterpart: struct hstate in include/linux/hugetlb.h,
// mm/hugetlb.c. (They are taken from zones that the kernel itself uses, as on machines where huge pages can't migrate.)
import { KernelBug, KernelError, Mutex, type NodeId, type Page, type Pfn, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, prepTranshugePage } from "@hetmem/mm/huge";
import { nodesWithMemory } from "@hetmem/mm/policy";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER, type HugePageCounts, type HugePages } from "@hetmem/zone";
import { NodeTurns } from "./node-turns.ts";

/** Huge pages can't migrate here, so that they keep out of ZONE_MOVABLE. @see htlb_alloc_mask() */
export const GFP_HUGETLB: number = GFP_HIGHUSER | Gfp.COMP | Gfp.NOWARN | Gfp.RETRY_MAYFAIL;
/** What users leave on a page that goes back to the pool. */
const USED = PageFlag.uptodate | PageFlag.dirty | PageFlag.referenced | PageFlag.anonExclusive;

export class HugetlbPool implements HugePages {
  /** Free pages that mappings were promised. @see resv_huge_pages */
  reserved = 0;
  /** Pages that the administrator has asked for, as far as there was memory. @see max_huge_pages */
  wanted = 0;
  /** Surplus pages that there may be, an unsigned 64-bit number. @see nr_overcommit_huge_pages */
  overcommit: number | bigint = 0;
  readonly vm: Vm;
  private readonly members = new Set<Page>();
  /** By node, the one that was freed last at the end. */
  private readonly freeLists: readonly Page[][];
  private readonly totals: number[];
  private readonly surpluses: number[];
  /** Pages on their way from a reservation to an entry: if they don't arrive, the promise holds again. @see HPageRestoreReserve */
  private readonly promised = new Set<Page>();
  private readonly resizing: Mutex;
  private readonly growing = new NodeTurns();
  private readonly shrinking = new NodeTurns();
  private lastInode = 0;

  constructor(vm: Vm) {
    this.vm = vm;
    this.freeLists = vm.memory.nodes.map(() => []);
    this.totals = vm.memory.nodes.map(() => 0);
    this.surpluses = vm.memory.nodes.map(() => 0);
    this.resizing = new Mutex(vm.kernel.lockdep, "hugetlb resize_lock");
  }

  get counts(): HugePageCounts {
    const free = this.freeLists.reduce((count, pages) => count + pages.length, 0);
    return { total: sum(this.totals), free, reserved: this.reserved, surplus: sum(this.surpluses) };
  }

  nodeCounts(node: NodeId): Omit<HugePageCounts, "reserved"> {
    return {
      total: this.totals[node] ?? 0,
      free: this.freeLists[node]?.length ?? 0,
      surplus: this.surpluses[node] ?? 0,
    };
  }

  get totalPages(): number {
    return sum(this.totals) * HPAGE_PMD_NR;
  }

  /** Whether a page is the head of one of the pool, free or in use. @see PageHuge() */
  owns(head: Page): boolean {
    return this.members.has(head);
  }

  /** Heads of the pages that are free, for who checks that all is well. */
  freePages(): Page[] {
    return this.freeLists.flat();
  }

  /** Numbers of the files behind mappings. */
  nextInode(): number {
    return ++this.lastInode;
  }

  /**
   * Makes the pool larger or smaller, as far as that goes: it stops where memory does, and pages in use become surplus.
   *
   * @param node the only one to change, where `count` is how many it is to have; absent: all, round
   * @see set_max_huge_pages()
   */
  *resize(count: number, node?: NodeId): Sleeps<void> {
    yield* this.resizing.lock();
    try {
      const nodes = node === undefined ? nodesWithMemory(this.vm.memory) : [node];
      yield* this.resizeOn(nodes, node === undefined ? count : count + this.elsewhere(node));
      this.wanted = this.persistent;
    } finally {
      this.resizing.unlock();
    }
  }

  /**
   * Promises so many pages, with surplus ones if there have to be.
   *
   * @param nodes where those come from, in this order
   * @returns false when they can't be had, and nothing is promised
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

  /** Takes a promise back, and gives up the surplus pages that it was kept with. @see return_unused_surplus_pages() */
  unreserve(count: number): void {
    this.reserved -= count;
    const surplus = Math.min(count, this.counts.surplus);
    for (let i = 0; i < surplus; i++) if (!this.removeOne(this.surpluses)) return;
  }

  /**
   * A page that was promised, with one reference. Until keep() the promise holds again when it is freed.
   *
   * @returns NULL_PAGE when all that is free is on other nodes @see alloc_huge_page()
   */
  *takePromised(nodes: readonly NodeId[]): Sleeps<Page> {
    const found = this.dequeue(nodes);
    const page = found === NULL_PAGE ? yield* this.allocSurplus(nodes) : found;
    if (page === NULL_PAGE) return page;
    this.reserved--;
    this.promised.add(page);
    this.vm.memmap.setRefcount(page, 1);
    return page;
  }

  /** A page that nobody was promised, with one reference. @returns NULL_PAGE when there is none, nor may there be one more */
  *takeFree(nodes: readonly NodeId[]): Sleeps<Page> {
    const found = this.counts.free > this.reserved ? this.dequeue(nodes) : (NULL_PAGE as Page);
    const page = found === NULL_PAGE ? yield* this.allocSurplus(nodes) : found;
    if (page !== NULL_PAGE) this.vm.memmap.setRefcount(page, 1);
    return page;
  }

  /** The page has arrived where it was promised to. */
  keep(page: Page): void {
    this.promised.delete(page);
  }

  /** A page has lost its last reference. @see free_huge_page() */
  free(head: Page): void {
    const { memmap } = this.vm;
    memmap.clear(head, USED);
    memmap.setMapping(head, 0);
    const node = memmap.nodeOf(head);
    const promised = this.promised.delete(head);
    if (promised) this.reserved++;
    // What is promised again must be there. (The kernel gives a surplus page up even then.)
    if (promised || this.surpluses[node] === 0) return this.enqueue(head);
    this.surpluses[node] = (this.surpluses[node] as number) - 1;
    this.remove(head);
  }

  /**
   * Gives free pages whose memory goes offline back to the allocator: the pool has fewer from then on.
   *
   * @param start first frame, `end` the first behind
   * @throws KernelError EBUSY when as many as are free are promised; the pages before have gone
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

  private get persistent(): number {
    const { total, surplus } = this.counts;
    return total - surplus;
  }

  private elsewhere(node: NodeId): number {
    return this.counts.total - (this.totals[node] ?? 0);
  }

  private *resizeOn(nodes: readonly NodeId[], count: number): Sleeps<void> {
    while (count > this.persistent && this.moveSurplus(nodes, -1));
    while (count > this.persistent) if (!(yield* this.grow(nodes))) return;
    const { total, free } = this.counts;
    const least = Math.max(count, this.reserved + total - free);
    while (least < this.persistent && this.removeOne(undefined, nodes));
    while (count < this.persistent && this.moveSurplus(nodes, 1));
  }

  /** One more page, from the node whose turn it is or the ones after it. @see alloc_pool_huge_page() */
  private *grow(nodes: readonly NodeId[]): Sleeps<boolean> {
    for (const node of this.growing.round(nodes)) {
      const page = yield* this.allocFresh(node);
      if (page === NULL_PAGE) continue;
      this.enqueue(page);
      return true;
    }
    return false;
  }

  /** A page of one node counts as surplus from now on, or no longer. @see adjust_pool_surplus() */
  private moveSurplus(nodes: readonly NodeId[], by: 1 | -1): boolean {
    const turns = by < 0 ? this.growing : this.shrinking;
    for (const node of turns.round(nodes)) {
      const surplus = this.surpluses[node] as number;
      if (by < 0 ? surplus === 0 : surplus === this.totals[node]) continue;
      this.surpluses[node] = surplus + by;
      return true;
    }
    return false;
  }

  /**
   * Gives a free page back to the allocator.
   *
   * @param counted by node: only from nodes that have some of these, which become fewer; every node where undefined
   * @see remove_pool_huge_page()
   */
  private removeOne(
    counted: number[] | undefined,
    nodes: readonly NodeId[] = nodesWithMemory(this.vm.memory),
  ): boolean {
    for (const node of this.shrinking.round(nodes)) {
      if (counted?.[node] === 0) continue;
      const page = this.freeLists[node]?.pop();
      if (page === undefined) continue;
      if (counted) counted[node] = (counted[node] as number) - 1;
      this.remove(page);
      return true;
    }
    return false;
  }

  /** A page beyond what the administrator wanted, counted as such, with no reference. @see alloc_surplus_huge_page() */
  private *allocSurplus(nodes: readonly NodeId[]): Sleeps<Page> {
    for (const node of nodes) {
      if (this.counts.surplus >= this.overcommit) break;
      const page = yield* this.allocFresh(node);
      if (page === NULL_PAGE) continue;
      this.surpluses[node] = (this.surpluses[node] as number) + 1;
      if (this.counts.surplus <= this.overcommit) return page;
      // Somebody else has made one while this waited.
      this.free(page);
    }
    return NULL_PAGE as Page;
  }

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

/** The pool of a machine. @throws KernelBug when the machine was made with another one, or with none */
export function hugetlbPool({ hugetlb }: Vm): HugetlbPool {
  if (!(hugetlb instanceof HugetlbPool))
    throw new KernelBug("the machine has no HugetlbPool: give Vm hugetlbParts");
  return hugetlb;
}
