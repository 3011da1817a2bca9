// The device's memory and its page allocator. Frames get struct pages when the memory is plugged in. The driver
// allocates single pages and gets each back with its last put. Each frame has flags: in use, referenced by the engine
// since the last eviction scan, contents lost, bad. Bad frames are never allocated again. Kernel counterpart: struct
// dmirror_chunk and the free list of struct dmirror_device in lib/test_hmm.c.
import {
  alignUp,
  type FaultPoint,
  KernelBug,
  KernelError,
  type NodeId,
  type Page,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  type Sleeps,
} from "@hetmem/kernel";
import {
  DevPagemap,
  type DevPagemapOps,
  MemoryType,
  type Pagemaps,
  zoneDevicePageInit,
} from "@hetmem/memremap";
import { grown, NULL_PAGE } from "@hetmem/page";
import { releaseResource, requestFreeMemRegion, type Resource } from "@hetmem/resource";
import type { GpuMemory } from "./driver/gpu-driver.ts";
import type { GpuStats } from "./stats.ts";

/** Granularity of struct pages in bytes. @see SUBSECTION_SIZE */
const SUBSECTION = 2 * 1024 * 1024;

/** Fault point of page allocation. */
const GPU_ALLOC_PAGE = "gpu_alloc_page";

/** Flags of a frame. */
const Frame = { used: 1, touched: 2, lost: 4, bad: 8 } as const;

export interface DeviceMemoryInit {
  readonly pagemaps: Pagemaps;
  readonly name: string;
  readonly type: "private" | "coherent";
  /** Allocatable bytes. */
  readonly bytes: number;
  /** Physical address set by firmware; undefined for the highest free region of the physical space. */
  readonly start: PhysAddr | undefined;
  readonly node: NodeId | undefined;
  /** Owner of the pagemap, for migration. */
  readonly owner: unknown;
  readonly stats: GpuStats;
  /** Called with a page that went bad: must unmap it from the device and from processes. */
  readonly failed: (page: Page) => Sleeps<void>;
  readonly migrateToRam: NonNullable<DevPagemapOps["migrateToRam"]>;
}

export class DeviceMemory implements GpuMemory {
  readonly type: "private" | "coherent";
  /** Number of allocatable pages. */
  readonly pages: number;
  private readonly init: DeviceMemoryInit;
  /** By frame, up to the highest that was ever allocated or bad. */
  private frames: Uint8Array = new Uint8Array(0);
  /** Stack of freed frames; entries below `returned` are valid, the next frame is the last. */
  private stack: Int32Array = new Int32Array(0);
  private returned = 0;
  /** Frames from this one on have not been allocated since the memory was plugged in. */
  private fresh = 0;
  private free = 0;
  /** Number of bad frames. */
  private bad = 0;
  /** Number of unused bad frames. */
  private retired = 0;
  private readonly failure: FaultPoint;
  private mapping: DevPagemap | undefined = undefined;
  private region: Resource | undefined = undefined;

  /** @throws KernelError EINVAL for less than a page */
  constructor(init: DeviceMemoryInit) {
    this.init = init;
    this.type = init.type;
    this.pages = Math.floor(init.bytes / PAGE_SIZE);
    if (this.pages < 1)
      throw new KernelError("EINVAL", `${init.name} has ${init.bytes} bytes: give it a page`);
    this.failure = init.pagemaps.memory.kernel.faults.point(GPU_ALLOC_PAGE);
  }

  /** The pagemap of the memory; undefined while unplugged. */
  get pagemap(): DevPagemap | undefined {
    return this.mapping;
  }

  get freePages(): number {
    return this.free;
  }

  get usedPages(): number {
    return this.mapping === undefined ? 0 : this.pages - this.free - this.retired;
  }

  /**
   * Plugs the memory in: creates its struct pages. No effect when plugged in.
   *
   * @throws KernelError ERANGE when no addresses are free, and errors of memremapPages(); nothing has changed then
   * @see dmirror_allocate_chunk() in lib/test_hmm.c
   */
  *plug(): Sleeps<void> {
    if (this.mapping !== undefined) return;
    const { pagemaps, name, start, node, owner } = this.init;
    const size = alignUp(this.pages * PAGE_SIZE, SUBSECTION);
    const region = start === undefined ? requestFreeMemRegion(pagemaps.hotplug.iomem, size, name) : undefined;
    const mapping = new DevPagemap({
      type: this.kind(),
      name,
      ranges: [{ start: start ?? (region as Resource).start, size }],
      owner,
      ops: this.ops(),
    });
    try {
      yield* pagemaps.memremapPages(mapping, node);
    } catch (error) {
      if (region) releaseResource(region);
      throw error;
    }
    this.region = region;
    this.mapping = mapping;
    this.returned = 0;
    this.fresh = 0;
    this.retired = this.bad;
    this.free = this.pages - this.bad;
  }

  /**
   * Unplugs the memory: removes its struct pages. Waits for lookups of them.
   *
   * @throws KernelBug while pages are in use: evict them first
   */
  *unplug(): Sleeps<void> {
    const { mapping, region } = this;
    if (mapping === undefined) return;
    if (this.usedPages > 0) throw new KernelBug(`${mapping} goes, and ${this.usedPages} pages are in use`);
    this.mapping = undefined;
    this.free = 0;
    this.returned = 0;
    this.retired = 0;
    yield* this.init.pagemaps.memunmapPages(mapping);
    if (region) releaseResource(region);
    this.region = undefined;
  }

  /**
   * Allocates a page, locked and with one reference. The contents are zeros.
   *
   * @returns NULL_PAGE when the memory is full
   * @see dmirror_devmem_alloc_page()
   */
  alloc(): Page {
    const { mapping, init } = this;
    if (mapping === undefined || this.free === 0) return NULL_PAGE as Page;
    if (this.failure.armed && this.failure.shouldFail()) return NULL_PAGE as Page;
    const frame = this.returned > 0 ? (this.stack[--this.returned] as number) : this.nextFresh();
    this.free--;
    const page = this.pageOf(frame);
    this.frames[frame] = Frame.used | Frame.touched;
    zoneDevicePageInit(init.pagemaps, page);
    init.stats.allocated++;
    return page;
  }

  /** Whether a page belongs to this memory. */
  owns(page: Page): boolean {
    return this.mapping !== undefined && this.init.pagemaps.pagemapOf(page) === this.mapping;
  }

  /** Marks a page as referenced by the engine. */
  touch(page: Page): void {
    const frame = this.frameOf(page);
    this.frames[frame] = (this.frames[frame] as number) | Frame.touched;
  }

  /** Whether the contents of a page are lost. */
  isLost(page: Page): boolean {
    return ((this.frames[this.frameOf(page)] as number) & Frame.lost) !== 0;
  }

  lose(page: Page): void {
    const frame = this.frameOf(page);
    const had = this.frames[frame] as number;
    if ((had & Frame.used) === 0 || (had & Frame.lost) !== 0) return;
    this.frames[frame] = had | Frame.lost;
    this.init.stats.lost++;
  }

  isUsed(frame: number): boolean {
    return ((this.frames[frame] as number) & Frame.used) !== 0;
  }

  /** Whether a frame is bad. An unused bad frame is never allocated. */
  isBad(frame: number): boolean {
    return ((this.frames[frame] as number) & Frame.bad) !== 0;
  }

  /** Whether a frame may be evicted. Clears the referenced flag, so that a referenced frame is kept once. */
  isVictim(frame: number): boolean {
    const had = this.frames[frame] as number;
    if ((had & Frame.touched) !== 0) this.frames[frame] = had & ~Frame.touched;
    return had === Frame.used;
  }

  pageOf(frame: number): Page {
    return this.init.pagemaps.memmap.pfnToPage(this.pfnOf(frame));
  }

  /** The pfn of a frame. @throws KernelBug while unplugged */
  pfnOf(frame: number): Pfn {
    if (this.mapping === undefined) throw new KernelBug(`${this.init.name} has no memory plugged in`);
    return (this.mapping.firstPfn(0) + frame) as Pfn;
  }

  frameOf(page: Page): number {
    if (this.mapping === undefined) throw new KernelBug(`${this.init.name} has no memory plugged in`);
    return this.init.pagemaps.memmap.pageToPfn(page) - this.mapping.firstPfn(0);
  }

  /** Free frames, for invariants. */
  *freeFrames(): Generator<number, void, void> {
    for (let frame = this.pages - 1; frame >= this.fresh && this.mapping !== undefined; frame--)
      if (!this.isBad(frame)) yield frame;
    for (let i = 0; i < this.returned; i++) yield this.stack[i] as number;
  }

  /** The memory type. In releases with public device memory, coherent memory is public. */
  private kind(): MemoryType {
    if (this.type === "private") return MemoryType.DevicePrivate;
    const { memoryTypes } = this.init.pagemaps.policies;
    return memoryTypes.has(MemoryType.DevicePublic) ? MemoryType.DevicePublic : MemoryType.DeviceCoherent;
  }

  private ops(): DevPagemapOps {
    return {
      pageFree: (page) => this.take(page),
      migrateToRam: this.init.migrateToRam,
      memoryFailure: (_pagemap, frame, pages) => this.fail(frame, pages),
    };
  }

  /** The lowest frame that was not allocated yet: consecutive allocations get consecutive frames, which are copied in one piece. */
  private nextFresh(): number {
    while (this.isBad(this.fresh)) this.fresh++;
    const frame = this.fresh++;
    this.fit(this.fresh);
    this.stack = grown(this.stack, this.fresh, `frames of ${this.init.name}`);
    return frame;
  }

  /** Makes room for the states of so many frames. */
  private fit(frames: number): void {
    this.frames = grown(this.frames, frames, `frames of ${this.init.name}`);
  }

  /** Frees an idle page and clears its contents. @see dmirror_devmem_free() */
  private take(page: Page): void {
    const frame = this.frameOf(page);
    if (!this.isUsed(frame)) throw new KernelBug(`${this.init.name} gets frame ${frame} back twice`);
    this.init.pagemaps.memmap.contents.clear(page);
    this.init.stats.freed++;
    const bad = this.isBad(frame);
    this.frames[frame] = bad ? Frame.bad : 0;
    if (bad) {
      this.retired++;
      return;
    }
    this.stack[this.returned++] = frame;
    this.free++;
  }

  private *fail(first: Pfn, pages: number): Sleeps<void> {
    const { memmap } = this.init.pagemaps;
    for (let pfn = first; pfn < first + pages; pfn = (pfn + 1) as Pfn) {
      const page = memmap.pfnToPage(pfn);
      const frame = this.frameOf(page);
      // Frames past the allocatable ones exist only because struct pages come in whole subsections.
      if (frame >= this.pages || this.isBad(frame)) continue;
      if (!this.isUsed(frame)) this.retire(frame);
      this.lose(page);
      this.fit(frame + 1);
      this.frames[frame] = (this.frames[frame] as number) | Frame.bad;
      this.bad++;
      yield* this.init.failed(page);
    }
  }

  /** Removes an unused frame from the free stack. */
  private retire(frame: number): void {
    if (frame < this.fresh) {
      const at = this.stack.subarray(0, this.returned).indexOf(frame);
      this.stack.copyWithin(at, at + 1, this.returned--);
    }
    this.free--;
    this.retired++;
  }
}
