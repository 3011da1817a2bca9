// The device: its memory, the address spaces that it mirrors, and whether it is there at all. Everything that a driver does
// for a process is in gpu-context.ts; this is what it does for the device. Kernel counterpart: struct dmirror_device in
// lib/test_hmm.c, struct nouveau_drm.
import {
  condResched,
  type Kernel,
  KernelError,
  type NodeId,
  type Page,
  type PhysAddr,
  type Sleeps,
} from "@hetmem/kernel";
import { poisonDevicePage } from "@hetmem/memory-failure";
import type { Pagemaps } from "@hetmem/memremap";
import type { FaultContext, MmStruct, Vm } from "@hetmem/mm";
import { mmuIntervalNotifierInsert } from "@hetmem/mmu-notifier";
import { GpuFile } from "./device-file.ts";
import { DeviceMemory } from "./device-memory.ts";
import { Dma, type DmaLatency, noLatency } from "./dma.ts";
import { evictPages } from "./evict.ts";
import { GpuContext, WHOLE_ADDRESS_SPACE } from "./gpu-context.ts";
import { cpuTouch } from "./migrate.ts";
import { type GpuPolicy, mapInPlace } from "./policy.ts";
import { createStats, type GpuStats } from "./stats.ts";

export interface GpuOptions {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  /** "gpu0": for messages, and for /proc/iomem. */
  readonly name: string;
  /** Whether the cpu reaches its memory: "coherent", or not: "private". */
  readonly memoryType: "private" | "coherent";
  /** Bytes of its memory. Struct pages come in whole subsections of 2 MiB, of which it hands out so much. */
  readonly memoryBytes: number;
  /** Where the firmware has put the memory. Absent: the highest free region of the physical space. */
  readonly memoryStart?: PhysAddr;
  /** The node that its memory is near. Absent: that of the first cpu. */
  readonly node?: NodeId;
  /** What moves without being asked. Absent: nothing does. */
  readonly policy?: GpuPolicy;
  /** What the bus costs. Absent: nothing. */
  readonly latency?: DmaLatency;
}

/** How often the memory is looked through for pages that could not be moved, or have come meanwhile. @see NR_MAX_MIGRATE_PAGES_RETRY */
const EVICT_PASSES = 10;

/** "dead": it fell off the bus, and nothing answers any more. */
export type DeviceState = "running" | "dead";

/**
 * A device as its driver has it once it is bound: with its memory plugged in.
 *
 * @throws KernelError what DeviceMemory.plug() throws; nothing is left behind
 * @see dmirror_device_init() in lib/test_hmm.c
 */
export function* probeGpu(options: GpuOptions): Sleeps<Gpu> {
  const gpu = new Gpu(options);
  yield* gpu.memory.plug();
  return gpu;
}

export class Gpu {
  readonly name: string;
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  readonly memory: DeviceMemory;
  readonly dma: Dma;
  readonly policy: GpuPolicy;
  readonly stats: GpuStats = createStats();
  /** /dev/gpu0: what a process maps. */
  readonly file: GpuFile = new GpuFile(this);
  /** The address spaces that it mirrors. */
  readonly contexts: Set<GpuContext> = new Set();
  /** Where evicted pages go, if there is room. */
  readonly node: NodeId;
  /** Where the next eviction begins to look. */
  evictionHand = 0;
  private condition: DeviceState = "running";

  /** Its memory is plugged in when it is first needed: see probeGpu(). @throws KernelError EINVAL for less than a page of memory */
  constructor(options: GpuOptions) {
    const { vm, pagemaps, name, memoryType, memoryBytes, policy = mapInPlace, latency = noLatency } = options;
    this.vm = vm;
    this.pagemaps = pagemaps;
    this.name = name;
    this.policy = policy;
    this.dma = new Dma(vm, latency);
    this.node = options.node ?? firstNode(vm);
    this.memory = new DeviceMemory({
      pagemaps,
      name,
      type: memoryType,
      bytes: memoryBytes,
      start: options.memoryStart,
      node: options.node,
      owner: this,
      stats: this.stats,
      failed: (page) => this.cutOff(page),
      migrateToRam: (fault, page) => cpuTouch(this, fault as FaultContext, page),
    });
  }

  get kernel(): Kernel {
    return this.vm.kernel;
  }

  get state(): DeviceState {
    return this.condition;
  }

  /**
   * Mirrors an address space from now on, until the context is closed. One address space may have several.
   *
   * @throws KernelError ENODEV when the device is dead, ESRCH when the address space has no users
   * @see dmirror_fops_open() in lib/test_hmm.c
   */
  *open(mm: MmStruct): Sleeps<GpuContext> {
    this.expectAlive();
    if (mm.users === 0)
      throw new KernelError("ESRCH", `mm ${mm.id} has ended, and ${this.name} can't mirror it`);
    const context = new GpuContext(this, mm);
    yield* mmuIntervalNotifierInsert(
      context.notifier,
      mm,
      WHOLE_ADDRESS_SPACE.start,
      WHOLE_ADDRESS_SPACE.length,
    );
    this.contexts.add(context);
    return context;
  }

  /**
   * Moves pages of the device to the machine's memory, those first that the engine hasn't used lately.
   *
   * @param pages how many, at most
   * @returns how many have gone; fewer where pages are busy, lost, or the machine has no memory
   * @throws KernelError ENODEV when the device is dead
   */
  *evict(pages: number): Sleeps<number> {
    this.expectAlive();
    return yield* evictPages(this, pages);
  }

  /**
   * Empties the memory and takes its struct pages away. It is plugged in again when it is needed. A page that a process is
   * just touching is tried again, EVICT_PASSES times.
   *
   * @throws KernelError EBUSY when pages can't be moved: they are lost, in use, or there is no room for them; ENODEV when the
   *   device is dead and has pages
   * @see dmirror_device_remove_chunks()
   */
  *releaseMemory(): Sleeps<void> {
    const { memory } = this;
    for (let pass = 0; memory.usedPages > 0; pass++) {
      this.expectAlive();
      if (pass === EVICT_PASSES)
        throw new KernelError(
          "EBUSY",
          `${memory.usedPages} pages can't leave ${this.name}: end who uses them, or free memory`,
        );
      if ((yield* evictPages(this, memory.usedPages)) === 0) yield condResched;
    }
    yield* memory.unplug();
  }

  /**
   * The engine hangs, and is reset: what it was doing has failed, its page tables are empty, and private memory has lost
   * its contents. Coherent memory is behind the bus, not behind the engine, and keeps them. Whoever wants to keep
   * private pages evicts them first.
   *
   * @returns pages whose contents are lost: a touch of one ends in SIGBUS, a use by the device in EIO, until they are freed
   * @throws KernelError ENODEV when the device is dead
   */
  *reset(): Sleeps<number> {
    this.expectAlive();
    this.dma.abort();
    for (const { table } of this.contexts) table.clear(WHOLE_ADDRESS_SPACE.start, WHOLE_ADDRESS_SPACE.end);
    const lost = this.memory.type === "private" ? this.loseContents() : 0;
    this.kernel.log.printk(lost > 0 ? 3 : 5, `${this.name}: reset, ${lost} pages of memory are lost`);
    yield* this.dma.flushTlb();
    return lost;
  }

  /**
   * It falls off the bus: atomic, and for good. Private pages are as good as gone: a touch ends in SIGBUS. Coherent
   * memory reads as ones, as a bus does where nobody answers. Its struct pages stay until processes have let go of them.
   *
   * @returns pages whose contents are lost
   */
  fallOff(): number {
    if (this.condition === "dead") return 0;
    this.condition = "dead";
    this.dma.abort();
    for (const { table } of this.contexts) table.clear(WHOLE_ADDRESS_SPACE.start, WHOLE_ADDRESS_SPACE.end);
    const lost = this.loseContents();
    this.kernel.log.printk(2, `${this.name}: fell off the bus, ${lost} pages of memory are lost`);
    return lost;
  }

  /** The driver is unbound: every context is closed, and the memory emptied. @throws KernelError what releaseMemory() throws */
  *remove(): Sleeps<void> {
    for (const context of this.contexts) yield* context.close();
    yield* this.releaseMemory();
  }

  /** @throws KernelError ENODEV */
  expectAlive(): void {
    if (this.condition === "dead") throw new KernelError("ENODEV", `${this.name} has fallen off the bus`);
  }

  /** A page is bad. A process that has it in private memory hears of it from cpuTouch(); coherent memory it reads by itself. */
  private *cutOff(page: Page): Sleeps<void> {
    for (const { table } of this.contexts) table.clearPage(page);
    if (this.memory.type === "coherent") yield* poisonDevicePage(this.vm, page, undefined);
  }

  private loseContents(): number {
    const { memory } = this;
    const { contents } = this.vm.memmap;
    let lost = 0;
    for (let frame = 0; frame < memory.pages && memory.usedPages > 0; frame++) {
      if (!memory.isUsed(frame)) continue;
      const page: Page = memory.pageOf(frame);
      if (memory.isLost(page)) continue;
      memory.lose(page);
      contents.materialise(page).fill(0xff);
      lost++;
    }
    return lost;
  }
}

/** The node of the first cpu. */
function firstNode({ memory }: Vm): NodeId {
  const home = memory.nodes.find((node) => node !== undefined && node.cpus.length > 0);
  if (!home) throw new KernelError("EINVAL", "a machine without a cpu has no use for a device");
  return home.id;
}
