// A small machine for tests of hotplug: two nodes, one with a cpu and 1 GiB, and one that hotplug may fill. Its
// operations take the locks that a caller must hold, so that a case is one line.
import {
  GiB,
  type Kernel,
  KernelError,
  type NodeId,
  nodeId,
  type Page,
  type Pfn,
  physAddr,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { describePage, NULL_PAGE, SectionFlag } from "@hetmem/page";
import { formatIomem, type ResourceTree } from "@hetmem/resource";
import {
  allZones,
  Gfp,
  GFP_KERNEL,
  type Memory,
  type MemoryBlock,
  MemoryFailure,
  type MemoryGroup,
  type MemoryGroups,
  MemoryHotplug,
  offlineBlock,
  onlineBlock,
  type OnlineType,
  type PageMigration,
  type Placement,
  type Zone,
  ZoneType,
} from "@hetmem/zone";
import { bootRam, freePagesOf, ramIomem, SECTION, sectionHotplug, underLock } from "./ram.ts";

export interface HotplugMachineOptions {
  /** Ranges of node 0's boot memory in bytes: the first GiB when absent. */
  readonly memory?: readonly (readonly [start: number, end: number])[];
  /** Bytes that may be added: 1 GiB when absent. */
  readonly room?: number;
  readonly placement?: (groups: MemoryGroups) => Placement;
  readonly movableNode?: boolean;
  readonly memmapOnMemory?: boolean;
  readonly addressableEnd?: number;
  readonly physicalBits?: number;
}

export interface HotplugMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly hotplug: MemoryHotplug;
  readonly failure: MemoryFailure;
  add(start: number, options?: { node?: NodeId; size?: number; group?: MemoryGroup }): void;
  remove(start: number, size?: number): void;
  online(id: number, type: OnlineType): boolean;
  offline(id: number): boolean;
  /** Free pages of all zones, those on per-cpu lists among them. */
  freePages(): number;
  /** Start and length of each zone's span, by its name, of node 0. */
  spans(): Record<string, readonly [start: number, pages: number]>;
  /** The state that a failed operation must leave unchanged. */
  fingerprint(): unknown;
  /** Allocates a page that can't be moved out of the given block. */
  holdKernelPageIn(id: number): Page;
}

export function hotplugMachine(options: HotplugMachineOptions = {}): HotplugMachine {
  const { memory: ranges = [[0, GiB]], room = GiB, physicalBits = 46 } = options;
  const nodes = [
    { memory: ranges, cpus: [0] },
    { memory: [], cpus: [] },
  ];
  const { kernel, memory } = bootRam(nodes, {
    physicalBits,
    room,
    ...(options.movableNode && { movable_node: true }),
  });
  const iomem = ramIomem(nodes, physicalBits);
  const hotplug = sectionHotplug({
    memory,
    iomem,
    addressableEnd: options.addressableEnd ?? 2 ** 46,
    ...(options.placement && { placement: options.placement }),
    ...(options.memmapOnMemory && { memmapOnMemory: true }),
  });
  registerBlocks(hotplug);
  const locked = <T>(body: () => Sleeps<T>): T => run(underLock(hotplug, body));
  const zones = (): Zone[] => [...allZones(memory)];
  return {
    kernel,
    memory,
    iomem,
    hotplug,
    failure: new MemoryFailure(memory, hotplug.locks),
    add: (start, { node = nodeId(0), size = SECTION, group } = {}) =>
      locked(() => hotplug.addMemory(node, physAddr(start), size, group ? { group } : {})),
    remove: (start, size = SECTION) => locked(() => hotplug.removeMemory(physAddr(start), size)),
    online: (id, type) => locked(() => onlineBlock(hotplug, hotplug.block(id), type)),
    offline: (id) => locked(() => offlineBlock(hotplug, hotplug.block(id))),
    freePages: () => freePagesOf(memory),
    spans: () =>
      Object.fromEntries(
        zones()
          .filter((zone) => zone.node === 0)
          .map((zone) => [zone.name, [zone.empty ? 0 : zone.startPfn, zone.spannedPages] as const]),
      ),
    fingerprint: () => fingerprint(memory, hotplug),
    holdKernelPageIn: (id) => holdKernelPageIn(memory, hotplug.block(id)),
  };
}

/** Adds a range as memremap does: struct pages, no memory blocks. */
export function* addHotplugMachineMemory(
  { hotplug }: HotplugMachine,
  start: number,
  size: number,
): Sleeps<void> {
  yield* underLock(hotplug, function* () {
    yield* hotplug.locks.memHotplugBegin();
    yield* hotplug.archAddMemory(nodeId(0), physAddr(start), size, {
      altmap: undefined,
      memoryBlocks: false,
    });
    hotplug.locks.memHotplugDone();
  });
}

/** An owner of movable pages with contents, which migrates them on request unless they are pinned. */
export class OwnedPages implements PageMigration {
  readonly slots: Page[] = [];
  readonly pinned: Set<number> = new Set();
  readonly #machine: HotplugMachine;

  constructor(machine: HotplugMachine) {
    this.#machine = machine;
    machine.hotplug.migration = this;
  }

  allocate(count: number, gfp: number): void {
    const { allocator, memmap } = this.#machine.memory;
    for (let i = 0; i < count; i++) {
      const page = allocator.allocPages(gfp | Gfp.ZERO, 0, nodeId(0));
      if (page === NULL_PAGE) throw new KernelError("ENOMEM", "the test machine is full");
      memmap.contents.write(page, 0, contentsOf(this.slots.length));
      this.slots.push(page);
    }
  }

  isMovable(page: Page): boolean {
    return this.slots.includes(page);
  }

  *migrateRange(start: Pfn, end: Pfn): Sleeps<void> {
    const { allocator, memmap } = this.#machine.memory;
    for (const [slot, from] of this.slots.entries()) {
      const frame = memmap.pageToPfn(from);
      if (frame < start || frame >= end || this.pinned.has(slot)) continue;
      const to = allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
      if (to === NULL_PAGE) return;
      memmap.contents.copy(to, from);
      this.slots[slot] = to;
      memmap.putPage(from);
    }
  }

  dissolveFreeHugePages(): void {}

  reason(page: Page): string {
    const slot = this.slots.indexOf(page);
    return this.pinned.has(slot) ? `, pinned by slot ${slot}` : "";
  }

  framesIn(block: MemoryBlock): number {
    const frames = this.slots.map((page) => this.#machine.memory.memmap.pageToPfn(page));
    return frames.filter((frame) => frame >= block.start && frame < block.start + block.pages).length;
  }

  checkContents(): void {
    const bytes = new Uint8Array(4);
    for (const [slot, page] of this.slots.entries()) {
      this.#machine.memory.memmap.contents.read(page, 0, bytes);
      if (!bytes.every((byte, i) => byte === contentsOf(slot)[i]))
        throw new Error(`slot ${slot} lost its contents`);
    }
  }
}

function contentsOf(slot: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(slot + 1).buffer);
}

function registerBlocks(hotplug: MemoryHotplug): void {
  const { memory } = hotplug;
  for (const section of memory.memmap.sections.present()) {
    const start = (section * 32_768) as Pfn;
    const zones = (memory.nodes[0]?.zones ?? []).filter(
      (zone) => zone.populated && zone.intersects(start, 32_768),
    );
    hotplug.registerBootBlock({
      id: section,
      start,
      pages: 32_768,
      node: nodeId(0),
      nodes: [nodeId(0)],
      group: undefined,
      vmemmapPages: 0,
      state: "online",
      zone: zones.length === 1 ? zones[0] : undefined,
    });
  }
}

function marksOf({ watermark: { min, low, high, boost } }: Zone): unknown {
  return { min, low, high, boost };
}

function fingerprint(memory: Memory, hotplug: MemoryHotplug): unknown {
  const zones = [...allZones(memory)].map((zone) => [
    zone.node,
    zone.name,
    zone.empty ? 0 : zone.startPfn,
    zone.spannedPages,
    zone.presentPages,
    zone.managedPages,
    zone.isolatedPageblocks,
    zone.freePages + zone.pcp.reduce((count, pcp) => count + pcp.count, 0),
    marksOf(zone),
  ]);
  const sections = memory.memmap.sections
    .present()
    .map((section) => [section, memory.memmap.sections.has(section, SectionFlag.online)]);
  const blocks = [...hotplug.blocks.values()].map(({ id, state, zone }) => [id, state, zone?.name]);
  return {
    zones,
    sections,
    blocks,
    iomem: formatIomem(hotplug.iomem, { privileged: true }),
    nodes: memory.nodes.map((node) => node?.online),
  };
}

function holdKernelPageIn(memory: Memory, block: MemoryBlock): Page {
  const others: Page[] = [];
  const { allocator, memmap } = memory;
  const gfp = block.zone?.type === ZoneType.DMA32 ? GFP_KERNEL | Gfp.DMA32 : GFP_KERNEL;
  for (;;) {
    const page = allocator.allocPages(gfp, 0, block.node);
    if (page === NULL_PAGE) throw new Error(`no kernel page to be had in memory${block.id}`);
    const frame = memmap.pageToPfn(page);
    if (frame >= block.start && frame < block.start + block.pages) {
      for (const other of others) memmap.putPage(other);
      return page;
    }
    others.push(page);
    if (others.length > 100_000)
      throw new Error(`${describePage(memmap, page)} is not in memory${block.id}, nor is any other`);
  }
}
