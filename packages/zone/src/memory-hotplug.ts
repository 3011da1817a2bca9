// Adds and removes memory: the iomem resource, the sections and their struct pages, the memory blocks and the node,
// in this order. When one step fails, the earlier ones are undone in reverse. Kernel counterpart:
// mm/memory_hotplug.c.
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
import { PAGES_PER_SUBSECTION, SECTION_SIZE } from "@hetmem/page";
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
import type { AddMemoryOptions, ArchAddMemoryParams, MemoryHotplugOptions } from "./hotplug-options.ts";
import { HotplugRange } from "./hotplug-range.ts";
import { checkOffline, type MemoryBlock, offlineBlock, onlineBlock } from "./memory-block.ts";
import { type MemoryGroup, MemoryGroups } from "./memory-group.ts";
import { MemoryNotifiers } from "./memory-notifier.ts";
import type { Memory } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import { nothingMoves, type PageMigration } from "./page-migration.ts";
import { anyOrderPlacement, type OnlineType, type Placement } from "./placement.ts";
import { Vmemmap, vmemmapPages } from "./vmemmap.ts";
import { PAGEBLOCK_NR_PAGES, ZoneType } from "./zone-type.ts";
import { clearHwpoisonedPages, initAdded, sectionRanges } from "./zone-span.ts";
import { buildAllZonelists } from "./zonelist.ts";

export class MemoryHotplug {
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly locks: HotplugLocks;
  readonly notifiers: MemoryNotifiers = new MemoryNotifiers();
  readonly groups: MemoryGroups = new MemoryGroups();
  readonly placement: Placement;
  readonly vmemmap: Vmemmap;
  /** Indexed by block number. */
  readonly blocks: Map<number, MemoryBlock> = new Map();
  readonly blockSize: number;
  /** The state that blocks get when they are added. @see mhp_default_online_type */
  autoOnline: OnlineType | "offline";
  /** Migrates pages in use. Set by the machine. */
  migration: PageMigration = nothingMoves;
  readonly memmapOnMemory: boolean;
  /** Whether memory can go offline and be removed. */
  readonly hotremove: boolean;
  /** Checks of the ranges at which memory can be added. */
  readonly range: HotplugRange;
  readonly #failRegister: FaultPoint;

  constructor({
    memory,
    iomem,
    placement = () => anyOrderPlacement,
    blockSize = SECTION_SIZE,
    addressableEnd = iomem.end + 1,
    memmapOnMemory = false,
    autoOnline = "offline",
    hotremove = true,
  }: MemoryHotplugOptions) {
    this.memory = memory;
    this.iomem = iomem;
    this.locks = new HotplugLocks(memory.kernel);
    this.placement = placement(this.groups);
    this.vmemmap = new Vmemmap(memory.allocator);
    this.blockSize = blockSize;
    this.autoOnline = autoOnline;
    this.memmapOnMemory = memmapOnMemory;
    this.hotremove = hotremove;
    this.range = new HotplugRange(memory.kernel.log, blockSize, addressableEnd);
    this.#failRegister = memory.kernel.faults.point("memory_block_register");
  }

  /** Frames in a memory block. */
  get pagesPerBlock(): number {
    return this.blockSize / PAGE_SIZE;
  }

  /** The block of a number. @throws KernelError ENODEV when there is none */
  block(id: number): MemoryBlock {
    const block = this.blocks.get(id);
    if (!block) throw new KernelError("ENODEV", `memory${id} does not exist: add its memory first`);
    return block;
  }

  /** Blocks that overlap a range, ascending. @param size bytes @see walk_memory_blocks() */
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
   * Adds a range of memory to a node and onlines its blocks as `autoOnline` says. The caller holds
   * device_hotplug_lock.
   *
   * @param size bytes, a multiple of the block size
   * @throws KernelError E2BIG for a range above addressableEnd, EEXIST where the range is occupied, EINVAL for a
   * range that isn't whole blocks or a node that isn't possible, ENOMEM without room for struct pages
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
      // The memory stays added. As in walk_memory_blocks(), the first block that can't go online ends the loop.
      if (!(error instanceof KernelError)) throw error;
    }
  }

  /**
   * Removes memory whose blocks are all offline. A node without CPUs goes offline with its last block. The caller
   * holds device_hotplug_lock.
   *
   * @throws KernelError EBUSY while a block is online, EINVAL for a range that isn't whole blocks or has no memory in
   * parts
   * @see try_remove_memory()
   */
  *removeMemory(start: PhysAddr, size: number): Sleeps<void> {
    this.locks.assertDeviceHotplug("remove_memory");
    if (!this.hotremove)
      throw new KernelError("EBUSY", "this kernel removes no memory: it has no CONFIG_MEMORY_HOTREMOVE");
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
   * Takes every block of a range offline and removes the range. When one block can't go offline, those that did go
   * back online.
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
   * Adds a range that the kernel maps: addPages() with a check against addressableEnd.
   *
   * @throws KernelError E2BIG for a range above addressableEnd, or an error of addPages(); nothing stays added then
   * @see arch_add_memory()
   */
  *archAddMemory(node: NodeId, start: PhysAddr, size: number, params: ArchAddMemoryParams): Sleeps<void> {
    this.range.checkAddressable(start, size);
    yield* this.addPages(node, start, size, params);
  }

  /**
   * Adds struct pages for a range, which the kernel need not be able to map. Struct pages of RAM are reserved and in
   * no zone; those of ZONE_DEVICE stay uninitialised until memremap_pages() initialises them. The caller is between
   * memHotplugBegin() and memHotplugDone().
   *
   * @throws KernelError EINVAL for a range that isn't whole subsections, EEXIST where it has struct pages or blocks,
   * ENOMEM without room for struct pages; nothing stays added then
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

  /** Removes the struct pages of a range. @see arch_remove_memory() and __remove_pages() */
  *archRemoveMemory(start: PhysAddr, size: number): Sleeps<void> {
    if (!this.locks.changing) throw new KernelBug("arch_remove_memory without mem_hotplug_begin()");
    for (const [frame, pages] of sectionRanges(start, size)) {
      this.#removeSection(frame, pages);
      yield condResched;
    }
  }

  /** Takes a node offline that has neither memory nor CPUs. @see try_offline_node() */
  tryOfflineNode(node: NodeId): void {
    const candidate = this.memory.nodes[node];
    if (!candidate || !candidate.online || candidate.spannedPages > 0 || candidate.cpus.length > 0) return;
    for (const block of this.blocks.values()) if (block.nodes.includes(node)) return;
    candidate.online = false;
    this.memory.kernel.uevents.send("remove", `/devices/system/node/node${node}`, "node");
  }

  /** Registers a memory block of boot memory. */
  registerBootBlock(block: MemoryBlock): void {
    this.blocks.set(block.id, block);
  }

  /** Sends the uevent of a block's change. */
  uevent(action: "add" | "remove" | "online" | "offline", block: MemoryBlock): void {
    this.memory.kernel.uevents.send(action, `/devices/system/memory/memory${block.id}`, "memory");
  }

  /** Number of frames of a range that are System RAM in the resource tree. */
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

  /**
   * The online type of added blocks. When auto_online_blocks is set to offline while the blocks go online one by one,
   * the rest go online with the default type.
   *
   * @see memory_subsys_online()
   */
  #autoOnlineType(): OnlineType {
    return this.autoOnline === "offline" ? "online" : this.autoOnline;
  }

  /**
   * Onlines a block again. An error is only logged: the caller gets the error that made this necessary.
   *
   * @see try_reonline_memory_block()
   */
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
      const altmap = this.#supportsMemmapOnMemory(size)
        ? new Altmap(physToPfn(start), 0, vmemmapPages(size / PAGE_SIZE))
        : undefined;
      yield* this.archAddMemory(node, start, size, { altmap, memoryBlocks: true, ...(group && { group }) });
      if (newNode) this.#registerNode(newNode);
    } finally {
      this.locks.memHotplugDone();
    }
  }

  /**
   * The node when it is offline and goes online with this memory, its zonelists built; else undefined.
   *
   * @see __try_online_node()
   */
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

  /** Sets a node online and sends its uevent, after the uevents of its blocks. @see __register_one_node() */
  #registerNode(node: MemoryNode): void {
    node.online = true;
    this.memory.kernel.uevents.send("add", `/devices/system/node/node${node.id}`, "node");
  }

  /** @see mhp_supports_memmap_on_memory() */
  #supportsMemmapOnMemory(size: number): boolean {
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
