// Adding and removing memory: the resource, the sections and their struct pages, the block devices and the node, in
// this order, and undone in reverse when one of them fails. Kernel counterpart: mm/memory_hotplug.c.
import {
  condResched,
  errnoNumber,
  type FaultPoint,
  isAligned,
  KernelBug,
  KernelError,
  type NodeId,
  PAGE_SIZE,
  type Pfn,
  pfnToPhys,
  type PhysAddr,
  physToPfn,
  type Sleeps,
} from "@hetmem/kernel";
import { PAGES_PER_SUBSECTION } from "@hetmem/page";
import {
  IORESOURCE_BUSY,
  IORESOURCE_SYSRAM_DRIVER_MANAGED,
  IORESOURCE_SYSTEM_RAM,
  iomemMatches,
  releaseMemRegionAdjustable,
  releaseResource,
  requestRegion,
  type Resource,
  type ResourceTree,
} from "@hetmem/resource";
import { Altmap } from "./altmap.ts";
import { HotplugLocks } from "./hotplug-locks.ts";
import { HotplugRange } from "./hotplug-range.ts";
import { checkOffline, type MemoryBlock, offlineBlock, onlineBlock } from "./memory-block.ts";
import { type MemoryGroup, MemoryGroups } from "./memory-group.ts";
import { MemoryNotifiers } from "./memory-notifier.ts";
import type { Memory } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import { nothingMoves, type PageMigration } from "./page-migration.ts";
import type { OnlineType, Placement } from "./placement.ts";
import { Vmemmap, type VmemmapParams, vmemmapPages } from "./vmemmap.ts";
import { PAGEBLOCK_NR_PAGES, ZoneType } from "./zone-type.ts";
import { clearHwpoisonedPages, initAdded, sectionRanges } from "./zone-span.ts";
import { buildAllZonelists } from "./zonelist.ts";

export interface MemoryHotplugOptions {
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly placement: (groups: MemoryGroups) => Placement;
  /** Bytes of a block, a power of two of at least 128 MiB. */
  readonly blockSize: number;
  /** First address that the kernel's direct map can't reach. */
  readonly addressableEnd: number;
  /** Whether the struct pages of added blocks live in the blocks themselves. */
  readonly memmapOnMemory: boolean;
  readonly autoOnline: OnlineType | "offline";
}

/** How memory is added. */
export interface AddMemoryOptions {
  /** "System RAM", or "System RAM (kmem)" for memory that a driver brings. */
  readonly name?: string;
  readonly group?: MemoryGroup;
}

/** @see struct mhp_params in include/linux/memory_hotplug.h */
export interface ArchAddMemoryParams extends VmemmapParams {
  /** Whether memory blocks are made for it: yes for RAM, no for ZONE_DEVICE. */
  readonly memoryBlocks: boolean;
  readonly group?: MemoryGroup;
}

export class MemoryHotplug {
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly locks: HotplugLocks;
  readonly notifiers: MemoryNotifiers = new MemoryNotifiers();
  readonly groups: MemoryGroups = new MemoryGroups();
  readonly placement: Placement;
  readonly vmemmap: Vmemmap;
  /** By block number. */
  readonly blocks: Map<number, MemoryBlock> = new Map();
  readonly blockSize: number;
  /** What happens to blocks as they are added. */
  autoOnline: OnlineType | "offline";
  /** Who moves pages in use. Plugged in by the machine. */
  migration: PageMigration = nothingMoves;
  readonly memmapOnMemory: boolean;
  /** Where memory can be added. */
  readonly range: HotplugRange;
  readonly #failRegister: FaultPoint;

  constructor(options: MemoryHotplugOptions) {
    this.memory = options.memory;
    this.iomem = options.iomem;
    this.locks = new HotplugLocks(options.memory.kernel);
    this.placement = options.placement(this.groups);
    this.vmemmap = new Vmemmap(options.memory.allocator);
    this.blockSize = options.blockSize;
    this.autoOnline = options.autoOnline;
    this.memmapOnMemory = options.memmapOnMemory;
    this.range = new HotplugRange(options.memory.kernel.log, options.blockSize, options.addressableEnd);
    this.#failRegister = options.memory.kernel.faults.point("memory_block_register");
  }

  /** Frames of a block. */
  get pagesPerBlock(): number {
    return this.blockSize / PAGE_SIZE;
  }

  /** @throws KernelError ENODEV when there is no such block */
  block(id: number): MemoryBlock {
    const block = this.blocks.get(id);
    if (!block) throw new KernelError("ENODEV", `memory${id} does not exist: add its memory first`);
    return block;
  }

  /** Blocks that a range covers, in part or whole, ascending. @see walk_memory_blocks() */
  blocksIn(start: PhysAddr, size: number): MemoryBlock[] {
    const first = Math.floor(start / this.blockSize);
    const last = Math.floor((start + size - 1) / this.blockSize);
    const blocks: MemoryBlock[] = [];
    for (let id = first; id <= last; id++) {
      const block = this.blocks.get(id);
      if (block) blocks.push(block);
    }
    return blocks;
  }

  /**
   * Adds a range of memory to a node, in blocks that are offline unless `autoOnline` says otherwise.
   *
   * @param size bytes, a multiple of the block size
   * @throws KernelError E2BIG past the addressable end, EEXIST where something is already, EINVAL off block
   *   boundaries or for a node that isn't possible, ENOMEM without room for struct pages
   * @see __add_memory()
   */
  *addMemory(node: NodeId, start: PhysAddr, size: number, options: AddMemoryOptions = {}): Sleeps<void> {
    this.locks.assertDeviceHotplug("add_memory");
    const name = options.name ?? "System RAM";
    const resource = this.#requestResource(start, size, name);
    try {
      yield* this.#addMemoryResource(node, start, size, options.group);
    } catch (error) {
      releaseResource(resource);
      throw error;
    }
    if (this.autoOnline === "offline") return;
    try {
      for (const block of this.blocksIn(start, size)) yield* onlineBlock(this, block, this.#autoOnlineType());
    } catch (error) {
      // The memory is there all the same: the first block that stays offline ends it, as it does in walk_memory_blocks().
      if (!(error instanceof KernelError)) throw error;
    }
  }

  /**
   * Removes memory whose blocks are all offline. The node goes with its last block when it has no cpus.
   *
   * @throws KernelError EBUSY while a block is online, EINVAL off block boundaries
   * @see try_remove_memory()
   */
  *removeMemory(start: PhysAddr, size: number): Sleeps<void> {
    this.locks.assertDeviceHotplug("remove_memory");
    this.range.checkBlocks(start, size);
    const blocks = this.blocksIn(start, size);
    for (const block of blocks) checkOffline(this, block);
    if (blocks.length * this.blockSize !== size) {
      throw new KernelError(
        "EINVAL",
        `there is no memory in parts of 0x${start.toString(16)}+0x${size.toString(16)}`,
      );
    }
    for (const block of blocks) this.#unregisterBlock(block);
    yield* this.locks.memHotplugBegin();
    try {
      yield* this.archRemoveMemory(start, size);
      releaseMemRegionAdjustable(this.iomem, start, size);
      for (const node of new Set(blocks.map((block) => block.node))) this.tryOfflineNode(node);
    } finally {
      this.locks.memHotplugDone();
    }
  }

  /**
   * Takes every block of a range offline and removes it; blocks that did go offline go back online when one can't.
   *
   * @see offline_and_remove_memory()
   */
  *offlineAndRemoveMemory(start: PhysAddr, size: number): Sleeps<void> {
    this.range.checkBlocks(start, size);
    yield* this.locks.lockDeviceHotplug();
    const wentOffline: (readonly [MemoryBlock, OnlineType])[] = [];
    try {
      for (const block of this.blocksIn(start, size)) {
        const type = block.zone?.type === ZoneType.Movable ? "online_movable" : "online_kernel";
        if (yield* offlineBlock(this, block)) wentOffline.push([block, type]);
      }
      yield* this.removeMemory(start, size);
    } catch (error) {
      for (const [block, type] of wentOffline) yield* this.#reonline(block, type);
      throw error;
    } finally {
      this.locks.unlockDeviceHotplug();
    }
  }

  /**
   * Adds a range that the kernel maps: struct pages as addPages() makes them, and memory blocks for RAM alone.
   *
   * @throws KernelError E2BIG past the addressable end, and what addPages() throws; nothing is left behind
   * @see arch_add_memory()
   */
  *archAddMemory(node: NodeId, start: PhysAddr, size: number, params: ArchAddMemoryParams): Sleeps<void> {
    this.range.checkAddressable(start, size);
    yield* this.addPages(node, start, size, params);
  }

  /**
   * Makes struct pages for a range that the cpu may be unable to reach. Those of RAM are reserved and of no zone; those of
   * ZONE_DEVICE aren't initialised, which is its pagemap's business.
   *
   * @throws KernelError EINVAL off subsections, EEXIST, ENOMEM; nothing is left behind
   * @see __add_pages()
   */
  *addPages(node: NodeId, start: PhysAddr, size: number, params: ArchAddMemoryParams): Sleeps<void> {
    if (!this.locks.changing) throw new KernelBug("add_pages without mem_hotplug_begin()");
    if (
      !isAligned(start, PAGES_PER_SUBSECTION * PAGE_SIZE) ||
      !isAligned(size, PAGES_PER_SUBSECTION * PAGE_SIZE) ||
      size <= 0
    ) {
      throw new KernelError(
        "EINVAL",
        `0x${start.toString(16)}+0x${size.toString(16)} is not a whole number of 2 MiB subsections`,
      );
    }
    const added: (readonly [Pfn, number])[] = [];
    try {
      for (const [frame, pages] of sectionRanges(start, size)) {
        this.memory.memmap.sections.add(frame, pages, node, 0);
        try {
          this.vmemmap.populate(frame, pages, node, params);
        } catch (error) {
          this.memory.memmap.sections.remove(frame, pages);
          throw error;
        }
        added.push([frame, pages]);
        if (params.memoryBlocks) initAdded(this.memory, frame, pages);
        yield condResched;
      }
      if (params.memoryBlocks) this.#createBlocks(node, start, size, params);
    } catch (error) {
      for (const [frame, pages] of added.toReversed()) this.#removeSection(frame, pages);
      throw error;
    }
  }

  /** Takes the struct pages of a range away. @see arch_remove_memory() and __remove_pages() */
  *archRemoveMemory(start: PhysAddr, size: number): Sleeps<void> {
    if (!this.locks.changing) throw new KernelBug("arch_remove_memory without mem_hotplug_begin()");
    for (const [frame, pages] of sectionRanges(start, size)) {
      this.#removeSection(frame, pages);
      yield condResched;
    }
  }

  /** Takes a node out of /sys that has neither memory nor cpus left. @see try_offline_node() */
  tryOfflineNode(node: NodeId): void {
    const candidate = this.memory.nodes[node];
    if (!candidate || !candidate.online || candidate.spannedPages > 0 || candidate.cpus.length > 0) return;
    for (const block of this.blocks.values()) if (block.nodes.includes(node)) return;
    candidate.online = false;
    this.memory.kernel.uevents.send("remove", `/devices/system/node/node${node}`, "node");
  }

  /** Puts the block device of boot memory into /sys. */
  registerBootBlock(block: MemoryBlock): void {
    this.blocks.set(block.id, block);
  }

  /** Tells user space that a block changed. */
  uevent(action: "add" | "remove" | "online" | "offline", block: MemoryBlock): void {
    this.memory.kernel.uevents.send(action, `/devices/system/memory/memory${block.id}`, "memory");
  }

  /** Frames of a range that the resource tree calls System RAM. */
  systemRamPages(start: Pfn, pages: number): number {
    let found = 0;
    const end = (start + pages) * PAGE_SIZE - 1;
    for (const match of iomemMatches(
      this.iomem,
      pfnToPhys(start),
      end,
      IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
    )) {
      found += Math.max(0, Math.floor((match.end + 1) / PAGE_SIZE) - Math.ceil(match.start / PAGE_SIZE));
    }
    return found;
  }

  /** Somebody may turn it off while blocks go online one after the other: the rest goes online all the same. @see memory_subsys_online() */
  #autoOnlineType(): OnlineType {
    return this.autoOnline === "offline" ? "online" : this.autoOnline;
  }

  /** Best effort, as the kernel's: what first went wrong is what the caller hears of. @see try_reonline_memory_block() */
  *#reonline(block: MemoryBlock, type: OnlineType): Sleeps<void> {
    try {
      yield* onlineBlock(this, block, type);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.memory.kernel.log.printk(
        4,
        `try_reonline_memory_block: Failed to re-online memory: ${-errnoNumber(error.errno)}`,
      );
    }
  }

  *#addMemoryResource(
    node: NodeId,
    start: PhysAddr,
    size: number,
    group: MemoryGroup | undefined,
  ): Sleeps<void> {
    this.range.checkHotplug(start, size);
    yield* this.locks.memHotplugBegin();
    try {
      const newNode = this.#prepareNode(node);
      const altmap = this.#selfHosted(size)
        ? new Altmap(physToPfn(start), 0, vmemmapPages(size / PAGE_SIZE))
        : undefined;
      yield* this.archAddMemory(node, start, size, { altmap, memoryBlocks: true, ...(group && { group }) });
      if (newNode) this.#registerNode(newNode);
    } finally {
      this.locks.memHotplugDone();
    }
  }

  /** The node, when it is to appear with this memory: it knows by then whom to ask for help. @see __try_online_node() */
  #prepareNode(node: NodeId): MemoryNode | undefined {
    const candidate = this.memory.nodes[node];
    if (!candidate) {
      throw new KernelError(
        "EINVAL",
        `node ${node} is not possible on this machine: /sys/devices/system/node/possible lists those that are`,
      );
    }
    if (candidate.online) return undefined;
    buildAllZonelists(this.memory, node);
    return candidate;
  }

  /** Brings a node into /sys, behind the blocks that it got. @see __register_one_node() */
  #registerNode(node: MemoryNode): void {
    node.online = true;
    this.memory.kernel.uevents.send("add", `/devices/system/node/node${node.id}`, "node");
  }

  /** @see mhp_supports_memmap_on_memory() */
  #selfHosted(size: number): boolean {
    const frames = vmemmapPages(size / PAGE_SIZE);
    return this.memmapOnMemory && size === this.blockSize && isAligned(frames, PAGEBLOCK_NR_PAGES);
  }

  /** @see register_memory_resource() */
  #requestResource(start: PhysAddr, size: number, name: string): Resource {
    this.range.checkAddressable(start, size);
    const driverManaged = name === "System RAM" ? 0 : IORESOURCE_SYSRAM_DRIVER_MANAGED;
    try {
      return requestRegion(this.iomem, start, size, name, IORESOURCE_SYSTEM_RAM | driverManaged);
    } catch (error) {
      if (error instanceof KernelError) throw new KernelError("EEXIST", error.reason);
      throw error;
    }
  }

  /** @see create_memory_block_devices() */
  #createBlocks(node: NodeId, start: PhysAddr, size: number, { altmap, group }: ArchAddMemoryParams): void {
    const first = start / this.blockSize;
    const created: MemoryBlock[] = [];
    try {
      for (let id = first; id < first + size / this.blockSize; id++) {
        if (this.blocks.has(id)) throw new KernelError("EEXIST", `memory${id} exists already`);
        if (this.#failRegister.armed && this.#failRegister.shouldFail()) {
          throw new KernelError("ENOMEM", `memory${id} could not be registered (injected)`);
        }
        const block: MemoryBlock = {
          id,
          start: (id * this.pagesPerBlock) as Pfn,
          pages: this.pagesPerBlock,
          node,
          nodes: [node],
          group,
          vmemmapPages: altmap?.alloc ?? 0,
          state: "offline",
          zone: undefined,
        };
        this.blocks.set(id, block);
        created.push(block);
        this.uevent("add", block);
      }
    } catch (error) {
      for (const block of created.toReversed()) this.#unregisterBlock(block);
      throw error;
    }
  }

  #unregisterBlock(block: MemoryBlock): void {
    this.blocks.delete(block.id);
    this.uevent("remove", block);
  }

  #removeSection(frame: Pfn, pages: number): void {
    clearHwpoisonedPages(this.memory, frame, pages);
    this.memory.memmap.removeRange(frame, pages);
    this.vmemmap.depopulate(frame);
  }
}
