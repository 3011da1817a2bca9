// The pagemaps of a machine: mapping device memory, which gives its frames struct pages in ZONE_DEVICE; lookup of the
// pagemap of a frame; and unmapping, which waits until no page has users. Kernel counterpart: mm/memremap.c.
import {
  KernelBug,
  KernelError,
  type NodeId,
  type Page,
  PAGE_SIZE,
  type PercpuRef,
  type Pfn,
  physAddr,
  physToPfn,
  type Sleeps,
  type Tracepoint,
} from "@hetmem/kernel";
import { type MemMap, NULL_PAGE } from "@hetmem/page";
import { type Altmap, type Memory, type MemoryHotplug, touchedPieces, ZoneType } from "@hetmem/zone";
import { DevPagemap } from "./dev-pagemap.ts";
import { checkMemoryType } from "./memory-type.ts";
import { Memtypes } from "./memtype.ts";
import { mapRange, unmapRange } from "./pagemap-range.ts";
import { PagemapTree } from "./pagemap-tree.ts";
import { type ByteRange, defaultPagemapPolicies, type PagemapPolicies } from "./policies.ts";
import { freeZoneDevicePage, type MemmapInitZoneDevice } from "./zone-device-page.ts";

export interface PagemapsOptions {
  readonly hotplug: MemoryHotplug;
  /** Bits of a physical address. */
  readonly physicalBits: number;
  /** Cache mode reservations, shared with IoMappings. A new set when absent. */
  readonly memtypes?: Memtypes;
  /** Policies; v5.1's where absent. */
  readonly policies?: Partial<PagemapPolicies>;
}

export class Pagemaps {
  readonly hotplug: MemoryHotplug;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly memtypes: Memtypes;
  readonly policies: PagemapPolicies;
  /** The pagemap of each mapped frame. @see pgmap_array */
  readonly tree: PagemapTree;
  /** Progress of initialising the struct pages of a mapping. */
  readonly initialising: Tracepoint<MemmapInitZoneDevice>;
  /** Port: uncharges a driver-allocated page that becomes idle. Set by the machine. @see mem_cgroup_uncharge() */
  uncharge: (page: Page) => void = () => {};
  /** Pagemaps by number; 0 is none. */
  private readonly known: (DevPagemap | undefined)[] = [undefined];
  /** Reference counts by number, in an array of their own so that a lookup reads nothing else of a pagemap. */
  private readonly refs: (PercpuRef | undefined)[] = [undefined];
  private readonly freeIds: number[] = [];

  constructor({ hotplug, physicalBits, memtypes, policies }: PagemapsOptions) {
    this.hotplug = hotplug;
    this.memory = hotplug.memory;
    this.memmap = hotplug.memory.memmap;
    this.memtypes = memtypes ?? new Memtypes(hotplug.iomem);
    this.policies = { ...defaultPagemapPolicies, ...policies };
    this.tree = new PagemapTree(physicalBits);
    this.initialising = this.memory.kernel.trace.define("memremap", "memmap_init_zone_device");
    this.memmap.setFreePage(ZoneType.Device, (page) => freeZoneDevicePage(this, page), 1);
  }

  /**
   * Maps device memory: creates struct pages in ZONE_DEVICE of the node, and makes the pagemap live.
   *
   * @param node NUMA node; the node of the first cpu when undefined
   * @throws KernelError EINVAL when the release lacks the memory type, the pagemap lacks a required field, the node
   * isn't possible, or a range isn't whole subsections; ENOMEM when another pagemap is in the same section or
   * subsection, or without memory for struct pages; ENXIO when RAM is there. Nothing has changed then
   * @throws KernelBug when the pagemap is mapped already
   * @see memremap_pages() in mm/memremap.c
   */
  *memremapPages(pagemap: DevPagemap, node: NodeId | undefined): Sleeps<void> {
    this.#expectMappable(pagemap);
    const home = this.#nodeFor(node);
    this.memory.kernel.faults.point("percpu_ref_init").alloc(pagemap.name);
    const aligned = this.policies.collision.align(pagemap.ranges[0] as ByteRange);
    pagemap.renew(physToPfn(physAddr(aligned.start)));
    pagemap.idleCount = this.policies.idle(pagemap.type);
    pagemap.id = this.freeIds.pop() ?? this.known.length;
    this.known[pagemap.id] = pagemap;
    this.refs[pagemap.id] = pagemap.ref;
    try {
      while (pagemap.mappedRanges < pagemap.ranges.length) {
        yield* mapRange(this, pagemap, pagemap.mappedRanges, home);
        pagemap.mappedRanges++;
      }
    } catch (error) {
      // Other tasks may have looked up the ranges mapped so far: wait for them as in any teardown.
      yield* this.#teardown(pagemap);
      throw error;
    }
  }

  /**
   * Unmaps: lookups fail from now on; the struct pages are removed when no page has users and no lookup holds a
   * reference.
   *
   * @throws KernelBug when the pagemap isn't mapped
   * @see memunmap_pages()
   * @see "mm, devm_memremap_pages: fix shutdown handling" (2018): the reference is killed before anything else
   */
  *memunmapPages(pagemap: DevPagemap): Sleeps<void> {
    if (this.known[pagemap.id] !== pagemap || pagemap.mappedRanges < pagemap.ranges.length)
      throw new KernelBug(`${pagemap} is released and isn't mapped`);
    yield* this.#teardown(pagemap);
  }

  /**
   * Looks up the pagemap of a frame and takes a reference, which putDevPagemap() drops.
   *
   * @param cached result of an earlier call: returned again if it covers the frame, else its reference is dropped
   * @returns undefined when the frame has no pagemap or the pagemap is dying
   * @see get_dev_pagemap()
   */
  getDevPagemap(frame: Pfn, cached?: DevPagemap): DevPagemap | undefined {
    if (cached !== undefined) {
      if (frame >= cached.firstFrame && frame < cached.endFrame) return cached;
      cached.ref.put();
    }
    const id = this.tree.load(frame);
    return this.refs[id]?.trygetLive() === true ? this.known[id] : undefined;
  }

  /** @see put_dev_pagemap() */
  putDevPagemap(pagemap: DevPagemap | undefined): void {
    pagemap?.ref.put();
  }

  /** The pagemap of a ZONE_DEVICE page, without taking a reference; undefined for other pages. @see page->pgmap */
  pagemapOf(page: Page): DevPagemap | undefined {
    const { memmap } = this;
    if (page === NULL_PAGE || !memmap.initialised(page) || memmap.zoneOf(page) !== ZoneType.Device)
      return undefined;
    return this.known[memmap.pagemap(page)];
  }

  /** Takes a reference on the pagemap of a page. @returns false when the page has no pagemap or it is dying */
  tryGetPagemap(page: Page): boolean {
    return this.pagemapOf(page)?.ref.trygetLive() === true;
  }

  /** Drops the reference of tryGetPagemap(). */
  putPagemap(page: Page): void {
    this.pagemapOf(page)?.ref.put();
  }

  /**
   * The altmap that holds the struct pages of a frame, if they are kept in the device. Found until their removal has
   * completed, and for all frames of the mapped sections, including frames that getDevPagemap() doesn't find.
   *
   * @see to_vmem_altmap() in kernel/memremap.c of 4.14
   * @see eb7d78c9e7f6: it was forgotten too early, and unknown for frames beside the range
   */
  toVmemAltmap(frame: Pfn): Altmap | undefined {
    const { start, size } = this.policies.collision.align({ start: frame * PAGE_SIZE, size: PAGE_SIZE });
    return this.known[this.tree.find(physToPfn(physAddr(start)), size / PAGE_SIZE)]?.altmap;
  }

  /** Pagemaps that are mapped, being mapped or being torn down. */
  mapped(): DevPagemap[] {
    return this.known.filter((pagemap) => pagemap !== undefined);
  }

  /** The pagemap with a number. @throws KernelBug for an unused number */
  byId(id: number): DevPagemap {
    const pagemap = this.known[id];
    if (!pagemap) throw new KernelBug(`pagemap ${id} doesn't exist`);
    return pagemap;
  }

  #expectMappable(pagemap: DevPagemap): void {
    if (pagemap.id !== 0) throw new KernelBug(`${pagemap} is mapped already`);
    const { ops, owner } = pagemap;
    checkMemoryType(this.policies.memoryTypes, pagemap.type, {
      pageFree: ops.pageFree !== undefined,
      migrateToRam: ops.migrateToRam !== undefined,
      owner: owner !== undefined,
    });
  }

  /** @see numa_mem_id() */
  #nodeFor(node: NodeId | undefined): NodeId {
    const { nodes } = this.memory;
    const home =
      node === undefined ? nodes.find((each) => each !== undefined && each.cpus.length > 0) : nodes[node];
    if (!home)
      throw new KernelError("EINVAL", `node ${node ?? "of the running cpu"} is not possible on this machine`);
    return home.id;
  }

  *#teardown(pagemap: DevPagemap): Sleeps<void> {
    pagemap.ref.kill();
    if (pagemap.idleCount === 1) yield* this.#dropIdlePages(pagemap);
    yield* pagemap.ref.waitForZero();
    for (let range = 0; range < pagemap.mappedRanges; range++) yield* unmapRange(this, pagemap, range);
    const stranded = pagemap.altmap?.alloc ?? 0;
    this.known[pagemap.id] = undefined;
    this.refs[pagemap.id] = undefined;
    this.freeIds.push(pagemap.id);
    pagemap.id = 0;
    pagemap.mappedRanges = 0;
    if (stranded !== 0) throw new KernelBug(`${pagemap} keeps ${stranded} frames of its altmap`);
  }

  /**
   * Drops the references of idle pages. Lookups made before the pagemap was killed are waited for first: until then
   * their tasks may still take an idle page. A page in use keeps its reference until its last put.
   *
   * @see 50f44ee7248a: the final put of a page raced with the end of the pagemap
   */
  *#dropIdlePages(pagemap: DevPagemap): Sleeps<void> {
    let alive = 0;
    for (let range = 0; range < pagemap.mappedRanges; range++) alive += pagemap.pages(range);
    yield* pagemap.lookups.waitEvent(() => pagemap.ref.count === alive);
    let idle = 0;
    for (let range = 0; range < pagemap.mappedRanges; range++) idle += this.#idlePages(pagemap, range);
    pagemap.pagesDropped = true;
    pagemap.ref.putMany(idle);
  }

  #idlePages(pagemap: DevPagemap, range: number): number {
    const total = pagemap.pages(range);
    let used = 0;
    for (const [page, pages] of touchedPieces(this.memory, pagemap.firstPfn(range), total))
      used += this.memmap.countReferenced(page, pages, 1);
    return total - used;
  }
}
