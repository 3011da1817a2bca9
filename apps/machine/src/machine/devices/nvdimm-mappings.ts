// Requests of persistent memory to the rest of the machine: mappings, and a dax region for a namespace in devdax mode. Kernel
// counterparts: pmem_attach_disk() in drivers/nvdimm/pmem.c, __dax_pmem_probe() in drivers/dax/pmem.c.
import { daxPmemCompatProbe, daxPmemProbe } from "@hetmem/dax";
import {
  KernelError,
  type NodeId,
  nodeId,
  PAGE_SIZE,
  physAddr,
  physToPfn,
  type Sleeps,
} from "@hetmem/kernel";
import { DevPagemap, IoMappings, Memremap, MemoryType, type Pagemaps } from "@hetmem/memremap";
import type {
  DaxRegionMapping,
  DaxRegionRequest,
  NvdimmMapping,
  NvdimmMappings,
  PagemapRequest,
  RegionMedia,
} from "@hetmem/nvdimm";
import type { NvdimmRange } from "@hetmem/machine-spec";
import type { MachineDax } from "./dax-bus.ts";
import type { MemoryFailureQueue } from "./memory-failure-queue.ts";

export interface MachineMappingsOptions {
  readonly pagemaps: Pagemaps;
  readonly dax: MachineDax;
  readonly ranges: readonly NvdimmRange[];
  /** Is told of bad memory that no task was reading. */
  readonly failures: MemoryFailureQueue;
}

export class MachineMappings implements NvdimmMappings {
  readonly #pagemaps: Pagemaps;
  readonly #dax: MachineDax;
  readonly #ranges: readonly NvdimmRange[];
  readonly #failures: MemoryFailureQueue;
  readonly #mappings: IoMappings;

  constructor({ pagemaps, dax, ranges, failures }: MachineMappingsOptions) {
    this.#pagemaps = pagemaps;
    this.#dax = dax;
    this.#ranges = ranges;
    this.#failures = failures;
    this.#mappings = new IoMappings(pagemaps.hotplug, pagemaps.memtypes);
  }

  /** Stores of processes through a mapping reach the modules, as do the contents of RAM that was made of them. */
  attach({ start, end }: { start: number; end: number }, media: RegionMedia): void {
    this.#pagemaps.memmap.stores.add(physToPfn(physAddr(start)), physToPfn(physAddr(end)), {
      has: (frame) => media.has(frame * PAGE_SIZE),
      bytes: (frame) => media.bytes(frame * PAGE_SIZE),
      writeback: (frame, offset, size) => media.writeback(frame * PAGE_SIZE + offset, size),
    });
  }

  *memremap({ start, end }: { start: number; end: number }): Sleeps<NvdimmMapping> {
    const mappings = this.#mappings;
    const mapping = mappings.memremap(physAddr(start), end - start, Memremap.WB);
    if (!mapping)
      throw new KernelError(
        "ENXIO",
        `0x${start.toString(16)}-0x${end.toString(16)} can't be mapped: dmesg says why`,
      );
    return {
      *release() {
        mappings.memunmap(mapping);
      },
    };
  }

  *memremapPages(request: PagemapRequest): Sleeps<NvdimmMapping> {
    const pagemaps = this.#pagemaps;
    const { range } = request;
    const altmap = altmapOf(request);
    const pagemap = new DevPagemap({
      type: MemoryType.DeviceFsDax,
      name: "pmem",
      ranges: [{ start: range.start, size: range.end - range.start }],
      ...(altmap && { altmap }),
    });
    yield* pagemaps.memremapPages(pagemap, this.#nodeOf(range.start));
    return { release: () => pagemaps.memunmapPages(pagemap) };
  }

  *createDaxRegion(request: DaxRegionRequest): Sleeps<DaxRegionMapping> {
    const { bus, compatDriver } = this.#dax;
    const { pagemap } = request;
    const namespace = { ...request, pagemap: { range: pagemap.range, altmap: altmapOf(pagemap) } };
    const { release } = compatDriver
      ? yield* daxPmemCompatProbe(bus, compatDriver, namespace)
      : yield* daxPmemProbe(bus, namespace);
    return {
      release,
      memoryFailureQueue: ({ start, end }) => this.#failures.add(start, end),
    };
  }

  /** The node next to the range. */
  #nodeOf(address: number): NodeId | undefined {
    const range = this.#ranges.find(({ start, end }) => start <= address && address < end);
    return range === undefined || range.numaNode < 0 ? undefined : nodeId(range.numaNode);
  }
}

/**
 * An altmap for a pagemap. A namespace counts its reserve from the base of the altmap, which up to 5.2 is the start of a section and may
 * lie before the range. A pagemap counts it from the start of the range, and adds the frames before it.
 */
function altmapOf({
  range,
  altmap,
}: PagemapRequest): { readonly reserve: number; readonly free: number } | undefined {
  if (!altmap) return undefined;
  const before = range.start / PAGE_SIZE - altmap.basePfn;
  return { reserve: altmap.reserve - before, free: altmap.free };
}
