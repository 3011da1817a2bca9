// Every pagemap of a machine: mapping a device's memory, giving its frames struct pages in ZONE_DEVICE; finding the
// pagemap of a frame; and releasing it, which waits until nobody holds a page any more. Kernel counterpart:
// mm/memremap.c.
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
  /** Shared with IoMappings, so that both see what the other has mapped. */
  readonly memtypes?: Memtypes;
  /** Those that are absent are v5.1's. */
  readonly policies?: Partial<PagemapPolicies>;
}

export class Pagemaps {
  readonly hotplug: MemoryHotplug;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly memtypes: Memtypes;
  readonly policies: PagemapPolicies;
  /** Which pagemap each mapped frame belongs to. @see pgmap_array */
  readonly tree: PagemapTree;
  /** Tells how far the struct pages of a mapping are. */
  readonly initialising: Tracepoint<MemmapInitZoneDevice>;
  /** Who takes back what a driver's page was charged to. Plugged in by the machine. @see mem_cgroup_uncharge() */
  uncharge: (page: Page) => void = () => {};
  /** By number; 0 is nobody. */
  private readonly known: (DevPagemap | undefined)[] = [undefined];
  /** Their references, apart: a lookup reads no more of a pagemap than this. */
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
   * Maps a device's memory: struct pages in ZONE_DEVICE of the node, and a live reference for each page that the device
   * hands out.
   *
   * @param node undefined: the node of the first cpu
   * @throws KernelError EINVAL for a kind of memory this kernel or driver can't do, and off subsections; ENOMEM for a
   *   second mapping in the same section, or without room; ENXIO where RAM is. Nothing is left behind
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
      // Somebody may hold a lookup of the ranges before this one by now, so that they are waited for as in any teardown.
      yield* this.#teardown(pagemap);
      throw error;
    }
  }

  /**
   * Releases a mapping: from here on lookups fail, and once nobody holds a page or a lookup, the struct pages go.
   *
   * @see memunmap_pages()
   * @see "mm, devm_memremap_pages: fix shutdown handling" (2018): the reference is killed before anything else
   */
  *memunmapPages(pagemap: DevPagemap): Sleeps<void> {
    if (this.known[pagemap.id] !== pagemap || pagemap.mappedRanges < pagemap.ranges.length)
      throw new KernelBug(`${pagemap} is released and isn't mapped`);
    yield* this.#teardown(pagemap);
  }

  /**
   * The pagemap of a frame, with a reference that putDevPagemap() gives back; undefined where there is none, or it is
   * being torn down.
   *
   * @param cached what an earlier call returned, if anything: kept when it covers this frame too, else given back
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

  /** The pagemap that a page of ZONE_DEVICE belongs to, without a reference; undefined for any other page. @see page->pgmap */
  pagemapOf(page: Page): DevPagemap | undefined {
    const { memmap } = this;
    if (page === NULL_PAGE || !memmap.initialised(page) || memmap.zoneOf(page) !== ZoneType.Device)
      return undefined;
    return this.known[memmap.pagemap(page)];
  }

  /** Takes a reference on the pagemap of a page; false when it is dying, or has none. */
  tryGetPagemap(page: Page): boolean {
    return this.pagemapOf(page)?.ref.trygetLive() === true;
  }

  /** Gives back what tryGetPagemap() took. */
  putPagemap(page: Page): void {
    this.pagemapOf(page)?.ref.put();
  }

  /**
   * Where the struct pages of a frame are kept, if that is in the device: known until their removal has completed, for
   * any frame that was mapped, though the rest of its section is nobody's to look up.
   *
   * @see to_vmem_altmap() in kernel/memremap.c of 4.14
   * @see eb7d78c9e7f6: it was forgotten too early, and unknown for frames beside the range
   */
  toVmemAltmap(frame: Pfn): Altmap | undefined {
    const { start, size } = this.policies.collision.align({ start: frame * PAGE_SIZE, size: PAGE_SIZE });
    return this.known[this.tree.find(physToPfn(physAddr(start)), size / PAGE_SIZE)]?.altmap;
  }

  /** Pagemaps that are mapped, or being mapped or torn down. */
  mapped(): DevPagemap[] {
    return this.known.filter((pagemap) => pagemap !== undefined);
  }

  /** @throws KernelBug for a number that is nobody's */
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
   * Gives up the references of pages that nobody uses. First those who looked the pagemap up before it was killed must
   * be gone: until then they may take a page that is idle now. A page in use keeps its reference until its last put.
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
