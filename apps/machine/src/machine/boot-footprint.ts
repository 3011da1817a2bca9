// Memory in use once the machine is up: the kernel's slabs and stacks, which nothing can move, and the pages of the first
// processes and of the page cache, which can move. The amounts are those of a captured host, so that the same blocks can go
// offline as there.
import { type Kernel, type Page, type Pfn, type Sleeps, condResched } from "@hetmem/kernel";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import {
  Gfp,
  GFP_HIGHUSER_MOVABLE,
  MAX_ORDER,
  type Memory,
  NodeStat,
  onlineNodes,
  type PageAllocator,
  type PageMigration,
  VmEvent,
} from "@hetmem/zone";
import type { BootUsage } from "@hetmem/machine-spec";

/** In `mapping` of each movable page of ours: no address space has this number. */
const MAPPING = -1;
/** Movable memory comes in huge pages at most. */
const HUGE_ORDER = 9;

/** The zone that a request with these flags may reach at the highest, so that it comes from this one alone. */
const ZONE_GFP: Readonly<Record<BootUsage["zone"], number>> = {
  DMA: Gfp.DMA,
  DMA32: Gfp.DMA32,
  Normal: 0,
  Movable: Gfp.HIGHMEM | Gfp.MOVABLE,
};

export class BootFootprint implements PageMigration {
  readonly #kernel: Kernel;
  readonly #memory: Memory;
  readonly #memmap: MemMap;
  readonly #allocator: PageAllocator;

  constructor(memory: Memory) {
    this.#kernel = memory.kernel;
    this.#memory = memory;
    this.#memmap = memory.memmap;
    this.#allocator = memory.allocator;
  }

  /** Takes the pages of one zone that its host had in use. Stops where the zone has no more. */
  occupy({ node, zone, unmovablePages, movablePages }: BootUsage): void {
    const gfp = ZONE_GFP[zone] | Gfp.THISNODE | Gfp.MEMALLOC;
    const stat = this.#memory.nodes[node]?.stat;
    if (!stat) return;
    const fixed = this.#take(gfp, node, unmovablePages, MAX_ORDER - 1, (page) =>
      this.#memmap.set(page, PageFlag.slab),
    );
    stat[NodeStat.nr_slab_unreclaimable] = (stat[NodeStat.nr_slab_unreclaimable] ?? 0) + fixed;
    const movable = this.#take(gfp | Gfp.MOVABLE | Gfp.COMP, node, movablePages, HUGE_ORDER, (page) =>
      this.#memmap.setMapping(page, MAPPING),
    );
    // They are on no LRU list: they can't be swapped.
    stat[NodeStat.nr_anon_pages] = (stat[NodeStat.nr_anon_pages] ?? 0) + movable;
  }

  isMovable(page: Page): boolean {
    return this.#memmap.mapping(page) === MAPPING;
  }

  /** The footprint has no pool of huge pages. */
  dissolveFreeHugePages(): void {}

  reason(): string {
    return ", by the kernel";
  }

  /** Copies each of our pages in the range to a page on another node, or on the same one where there is no other. */
  *migrateRange(start: Pfn, end: Pfn): Sleeps<void> {
    const memmap = this.#memmap;
    for (let frame = start; frame < end;) {
      const page = memmap.pfnToPage(frame);
      const pages = 1 << memmap.compoundOrder(page);
      if (memmap.refcount(page) > 0 && this.isMovable(page)) {
        this.#migrate(page);
        yield condResched;
      }
      frame = (frame + pages) as Pfn;
    }
  }

  /** The parts of [start, end) that hold none of our pages. */
  *gaps(start: Pfn, end: Pfn): Generator<readonly [from: Pfn, to: Pfn], void, void> {
    const memmap = this.#memmap;
    let from = start;
    for (let frame = start; frame < end;) {
      const page = memmap.pfnToPage(frame);
      const next = (frame + (1 << memmap.compoundOrder(page))) as Pfn;
      if (memmap.refcount(page) > 0 && this.isMovable(page)) {
        if (from < frame) yield [from, frame];
        from = next;
      }
      frame = next;
    }
    if (from < end) yield [from, end];
  }

  #migrate(from: Page): void {
    const memmap = this.#memmap;
    const here = memmap.nodeOf(from);
    const order = memmap.compoundOrder(from);
    const near =
      onlineNodes(this.#memory).find((node) => node.id !== here && node.managedPages > 0)?.id ?? here;
    const gfp = GFP_HIGHUSER_MOVABLE | Gfp.NOWARN | (order > 0 ? Gfp.COMP : 0);
    const to = this.#allocator.allocPages(gfp, order, near);
    if (to === NULL_PAGE) {
      this.#allocator.countEvent(VmEvent.pgmigrate_fail, 1 << order);
      this.#kernel.log.printk(4, `migrating pfn ${memmap.pageToPfn(from).toString(16)} failed ret:-12`);
      return;
    }
    for (let i = 0; i < 1 << order; i++) memmap.contents.copy((to + i) as Page, (from + i) as Page);
    memmap.setMapping(to, MAPPING);
    memmap.setMapping(from, 0);
    this.#allocator.freePages(from, order);
    this.#allocator.countEvent(VmEvent.pgmigrate_success, 1 << order);
  }

  /** @returns how many pages it got */
  #take(
    gfp: number,
    node: BootUsage["node"],
    pages: number,
    orderMax: number,
    claim: (page: Page) => void,
  ): number {
    let left = pages;
    for (let order = orderMax; order >= 0;) {
      if (left < 1 << order) {
        order--;
        continue;
      }
      const page = this.#allocator.allocPages(order > 0 ? gfp : gfp & ~Gfp.COMP, order, node);
      if (page === NULL_PAGE) {
        order--;
        continue;
      }
      claim(page);
      left -= 1 << order;
    }
    return pages - left;
  }
}
