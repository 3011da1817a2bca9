// A machine with persistent memory for tests: modules that outlive it, ports that map nothing and count what is mapped.
import {
  condResched,
  createKernel,
  GiB,
  type Kernel,
  KernelError,
  MiB,
  Random,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import {
  createIomem,
  formatIomem,
  insertResource,
  IORESOURCE_SYSTEM_RAM,
  Resource,
  type ResourceTree,
} from "@hetmem/resource";
import {
  type DaxRegionMapping,
  type DaxRegionRequest,
  DimmMedia,
  type Firmware,
  type Namespace,
  type NvdimmBus,
  type NvdimmBusSpec,
  type NvdimmMapping,
  type PagemapRequest,
  powerFailure,
  type Region,
  type RegionMedia,
  registerNvdimmBus,
  unregisterNvdimmBus,
} from "@hetmem/nvdimm";

export const START = 4 * GiB;
export const PARENT = "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00";

export interface MachineOptions {
  /** Modules of each region; default one. */
  readonly ways?: number;
  /** Where the first region begins; default 4 GiB. */
  readonly start?: number;
  /** RAM beside the regions: first byte and first behind it. */
  readonly ram?: readonly (readonly [start: number, end: number])[];
  readonly pfnLayout?: NvdimmBusSpec["pfnLayout"];
  /** Bytes of each region; default 1 GiB. */
  readonly size?: number;
  readonly regions?: number;
  readonly firmware?: Firmware;
  readonly labelAreaSize?: number;
  readonly flushHints?: number;
  readonly persistenceDomain?: "cpu_cache" | "memory_controller";
  readonly security?: boolean;
  readonly keys?: NvdimmBusSpec["keys"];
  readonly seed?: number;
}

export class NvdimmMachine {
  readonly options: MachineOptions;
  readonly media: readonly DimmMedia[];
  readonly random: Random;
  kernel: Kernel = createKernel();
  iomem: ResourceTree = createIomem(46);
  /** Mappings that exist now, each by a word for its kind. */
  mapped: string[] = [];
  daxRegions: DaxRegionRequest[] = [];
  pagemaps: PagemapRequest[] = [];
  /** Memory behind the addresses of each region. */
  memory: RegionMedia[] = [];
  /** Bad memory of dax regions that their users are to be told of. */
  failures: { readonly start: number; readonly end: number }[] = [];
  #bus: NvdimmBus | undefined;

  constructor(options: MachineOptions = {}) {
    this.options = options;
    this.random = new Random(options.seed ?? 1);
    const { ways = 1, size = GiB, regions = 1, labelAreaSize } = options;
    this.media = Array.from(
      { length: ways },
      () =>
        new DimmMedia({
          capacity: (size / ways) * regions,
          ...(labelAreaSize !== undefined && { labelAreaSize }),
        }),
    );
  }

  get bus(): NvdimmBus {
    if (!this.#bus) throw new Error("the machine is down");
    return this.#bus;
  }

  get region(): Region {
    return this.bus.region("region0");
  }

  namespace(name: string): Namespace {
    return this.bus.namespace(name);
  }

  boot(): this {
    run(this.booting());
    return this;
  }

  *booting(): Sleeps<void> {
    this.kernel = createKernel();
    this.iomem = createIomem(46);
    this.mapped = [];
    this.daxRegions = [];
    this.pagemaps = [];
    this.memory = [];
    this.failures = [];
    const spec = this.spec();
    for (const { start, size } of spec.regions)
      insertResource(this.iomem, new Resource({ name: "Persistent Memory", start, end: start + size - 1 }));
    for (const [start, end] of this.options.ram ?? [])
      insertResource(
        this.iomem,
        new Resource({ name: "System RAM", start, end: end - 1, flags: IORESOURCE_SYSTEM_RAM }),
      );
    this.#bus = yield* registerNvdimmBus(spec);
  }

  /** An orderly reboot. */
  reboot(): this {
    run(unregisterNvdimmBus(this.bus));
    return this.boot();
  }

  /** The power fails, and comes back. */
  failPower(): this {
    powerFailure(this.bus);
    return this.boot();
  }

  /** /proc/iomem below the persistent memory. */
  get iomemText(): string {
    return formatIomem(this.iomem, { privileged: true });
  }

  spec(): NvdimmBusSpec {
    const {
      size = GiB,
      regions = 1,
      ways = 1,
      firmware = "ars",
      flushHints,
      security,
      keys,
      persistenceDomain,
      start = START,
      pfnLayout,
    } = this.options;
    return {
      kernel: this.kernel,
      iomem: this.iomem,
      provider: firmware === "none" ? "e820" : "ACPI.NFIT",
      parent: PARENT,
      firmware,
      ...(pfnLayout && { pfnLayout }),
      dimms: this.media.map((media) => ({
        media,
        ...(flushHints !== undefined && { flushHints }),
        ...(security !== undefined && { security }),
      })),
      regions: Array.from({ length: regions }, (_none, i) => ({
        start: start + i * size,
        size,
        mappings: this.media.map((_media, dimm) => ({ dimm, start: (i * size) / ways })),
        numaNode: 0,
        targetNode: 2 + i,
        ...(persistenceDomain && { persistenceDomain }),
      })),
      mappings: {
        attach: (_range, media) => {
          this.memory.push(media);
        },
        memremap: (range) => this.#map(`memremap ${hex(range.start)}`),
        memremapPages: (request) => {
          this.pagemaps.push(request);
          return this.#map(`pages ${hex(request.range.start)}`);
        },
        createDaxRegion: (request) => this.#createDaxRegion(request),
      },
      newUuid: () => randomUuid(this.random),
      ...(keys && { keys }),
    };
  }

  *#createDaxRegion(request: DaxRegionRequest): Sleeps<DaxRegionMapping> {
    this.daxRegions.push(request);
    const mapping = yield* this.#map(`dax${request.regionId}.${request.id} ${hex(request.range.start)}`);
    return {
      ...mapping,
      memoryFailureQueue: (bad) => this.failures.push(bad),
    };
  }

  *#map(what: string): Sleeps<NvdimmMapping> {
    yield condResched;
    if (this.kernel.faults.point("memremap").shouldFail())
      throw new KernelError("ENOMEM", `no room for ${what}`);
    this.mapped.push(what);
    const release = (): void => {
      this.mapped.splice(this.mapped.indexOf(what), 1);
    };
    return {
      *release() {
        yield condResched;
        release();
      },
    };
  }
}

export function machine(options: MachineOptions = {}): NvdimmMachine {
  return new NvdimmMachine(options).boot();
}

export function randomUuid(random: Random): string {
  const digits = Array.from({ length: 32 }, () => random.below(16).toString(16)).join("");
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join("-");
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

export const SIXTEEN_MIB = 16 * MiB;
