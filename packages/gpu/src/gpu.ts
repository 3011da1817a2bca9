// The device: its memory, its contexts, and its state. The per-process part of the driver is in gpu-context.ts.
// Kernel counterpart: struct dmirror_device in lib/test_hmm.c, struct nouveau_drm.
import { type HmmRangeFault, hmmRangeFault } from "@hetmem/hmm-mirror";
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
import type { FaultContext, MmStruct, Vm, Vma } from "@hetmem/mm";
import { mmuIntervalNotifierInsert } from "@hetmem/mmu-notifier";
import type { AttributeTable } from "@hetmem/vfs";
import { gpuDebugfsFiles } from "./debugfs.ts";
import { DeviceMemory } from "./device-memory.ts";
import { Dma } from "./dma.ts";
import type { DeviceState, GpuDevice } from "./driver/gpu-driver.ts";
import { type DmaLatency, noLatency } from "./driver/latency.ts";
import { mapInPlace, type MigrationPolicy } from "./driver/policy.ts";
import { evictPages } from "./evict.ts";
import { GpuContext, WHOLE_ADDRESS_SPACE } from "./gpu-context.ts";
import { cpuTouch } from "./migrate.ts";
import { populateMapping } from "./populate.ts";
import { createStats, type GpuStats } from "./stats.ts";
import "./version.ts";

export interface GpuOptions {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  /** Name in messages and in /proc/iomem: "gpu0". */
  readonly name: string;
  /** Whether the cpu can address the device's memory: "coherent" if so, "private" if not. */
  readonly memoryType: "private" | "coherent";
  /** Bytes of device memory. Struct pages are created for whole subsections of 2 MiB. */
  readonly memoryBytes: number;
  /** Physical address of the memory, set by firmware. Absent: the highest free region of the physical space. */
  readonly memoryStart?: PhysAddr;
  /** NUMA node of the memory. Absent: the node of the first cpu. */
  readonly node?: NodeId;
  /** Migration policy. Absent: mapInPlace. */
  readonly policy?: MigrationPolicy;
  /** Bus latency. Absent: none. */
  readonly latency?: DmaLatency;
  /** How the device sees pages of a process. Absent: hmmRangeFault(). */
  readonly rangeFault?: HmmRangeFault;
}

/**
 * Number of eviction passes before EBUSY, for pages that could not be migrated or were allocated meanwhile.
 *
 * @see NR_MAX_MIGRATE_PAGES_RETRY
 */
const EVICT_PASSES = 10;

/**
 * Creates a device and plugs its memory in, as a driver's probe does.
 *
 * @throws KernelError as DeviceMemory.plug(); nothing has changed then
 * @see dmirror_device_init() in lib/test_hmm.c
 */
export function* probeGpu(options: GpuOptions): Sleeps<Gpu> {
  const gpu = new Gpu(options);
  yield* gpu.memory.plug();
  return gpu;
}

export class Gpu implements GpuDevice {
  readonly name: string;
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  readonly memory: DeviceMemory;
  readonly dma: Dma;
  readonly rangeFault: HmmRangeFault;
  readonly policy: MigrationPolicy;
  readonly stats: GpuStats = createStats();
  /** /sys/kernel/debug/gpu0. */
  readonly debugfs: NonNullable<AttributeTable["files"]> = gpuDebugfsFiles(this);
  /** Open contexts. */
  readonly contexts: Set<GpuContext> = new Set();
  /** Preferred node of evicted pages. */
  readonly node: NodeId;
  /** Frame at which the next eviction scan starts. */
  evictionHand = 0;
  private condition: DeviceState = "running";

  /**
   * Creates a device. Its memory is plugged in on demand; see also probeGpu().
   *
   * @throws KernelError EINVAL for less than a page of memory
   */
  constructor(options: GpuOptions) {
    const { vm, pagemaps, name, memoryType, memoryBytes, policy = mapInPlace, latency = noLatency } = options;
    this.rangeFault = options.rangeFault ?? hmmRangeFault;
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
   * Opens a context, which mirrors an address space until it is closed. An address space may have several.
   *
   * @throws KernelError ENODEV when the device is lost, ESRCH when the address space has no users
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

  /** Populates a mapping of /dev/gpu0. @throws KernelError ENOMEM @see dmirror_fops_mmap() */
  mmap(vma: Vma): void {
    populateMapping(this.vm, vma);
  }

  /**
   * Evicts pages to RAM, those not recently referenced by the engine first.
   *
   * @param pages maximum number of pages
   * @returns the number of evicted pages; fewer when pages are busy or lost, or there is no memory
   * @throws KernelError ENODEV when the device is lost
   */
  *evict(pages: number): Sleeps<number> {
    this.expectAlive();
    return yield* evictPages(this, pages);
  }

  /**
   * Evicts all pages and removes the struct pages. The memory is plugged in again on demand. Busy pages are retried
   * in EVICT_PASSES passes.
   *
   * @throws KernelError EBUSY when pages can't be evicted because they are lost, in use, or there is no memory;
   * ENODEV when the device is lost and has pages in use
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
   * Resets the engine: copies in progress fail, device page tables are emptied, and private memory loses its
   * contents. Coherent memory keeps its contents. Evict private pages first to keep them.
   *
   * @returns the number of pages with lost contents: until they are freed, a cpu access is SIGBUS and a device access
   * EIO
   * @throws KernelError ENODEV when the device is lost
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
   * The device falls off the bus, for good. Atomic. Private pages are lost: a cpu access is SIGBUS. Coherent memory
   * reads as ones, like an undecoded bus address. The struct pages stay until processes have unmapped them.
   *
   * @returns the number of pages with lost contents
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

  /** Unbinds the driver: closes every context, and releases the memory. @throws KernelError as releaseMemory() */
  *remove(): Sleeps<void> {
    for (const context of this.contexts) yield* context.close();
    yield* this.releaseMemory();
  }

  /** @throws KernelError ENODEV when the device is lost */
  expectAlive(): void {
    if (this.condition === "dead") throw new KernelError("ENODEV", `${this.name} has fallen off the bus`);
  }

  /**
   * Removes access to a bad page. For a private page, cpuTouch() raises SIGBUS at the next cpu access; a coherent
   * page is unmapped from processes here.
   */
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
