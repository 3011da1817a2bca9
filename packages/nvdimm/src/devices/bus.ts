// The nvdimm bus: modules, regions, the list of known bad ranges, and the lock for configuration. Kernel counterpart:
// struct nvdimm_bus in drivers/nvdimm/nd-core.h, drivers/nvdimm/bus.c and core.c.
import { type Kernel, KernelError, Mutex, type Sleeps, WaitQueue } from "@hetmem/kernel";
import type { ResourceTree } from "@hetmem/resource";
import { RangeSet } from "../errors/range-set.ts";
import { NfitWork } from "../errors/nfit-work.ts";
import type { PfnLayoutPolicy } from "../drivers/pfn-layout.ts";
import { type Claim, CLAIM_KINDS, type ClaimKind } from "./claim.ts";
import { Nvdimm } from "./dimm.ts";
import type { Namespace } from "./namespace.ts";
import type { NewUuid, NvdimmMappings, SecurityKeys } from "./ports.ts";
import { Region } from "./region.ts";
import type { Firmware, NvdimmBusSpec } from "./spec.ts";

export class NvdimmBus {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly id: number;
  readonly name: string;
  /** Path below /sys. */
  readonly path: string;
  readonly provider: string;
  readonly firmware: Firmware;
  readonly mappings: NvdimmMappings;
  readonly newUuid: NewUuid;
  readonly keys: SecurityKeys;
  /** Layout of new pfn and dax devices; the layout since 5.3 when absent. */
  readonly pfnLayout: PfnLayoutPolicy | undefined;
  /** The personalities that a namespace may have. */
  readonly claimKinds: readonly ClaimKind[];
  /** @see nvdimm_bus_lock() */
  readonly reconfig: Mutex;
  readonly dimms: readonly Nvdimm[];
  readonly regions: readonly Region[];
  /** Known bad physical addresses. @see struct badrange */
  readonly badrange = new RangeSet();
  /** Pending scrubs and machine checks. */
  readonly work: NfitWork;
  readonly #probeIdle: WaitQueue;
  #probesActive = 0;

  constructor(spec: NvdimmBusSpec) {
    this.kernel = spec.kernel;
    this.iomem = spec.iomem;
    this.id = spec.id ?? 0;
    this.name = `ndbus${this.id}`;
    this.path = `${spec.parent}/${this.name}`;
    this.provider = spec.provider;
    this.firmware = spec.firmware;
    this.mappings = spec.mappings;
    this.newUuid = spec.newUuid;
    this.keys = spec.keys ?? { request: () => undefined, lookup: () => undefined };
    this.pfnLayout = spec.pfnLayout;
    this.claimKinds = spec.claimKinds ?? CLAIM_KINDS;
    this.reconfig = new Mutex(this.kernel.lockdep, "nvdimm_bus reconfig_mutex");
    this.#probeIdle = new WaitQueue(`the probes of ${this.name}`);
    this.work = new NfitWork(this.kernel, spec.onWork);
    this.dimms = spec.dimms.map((dimm, id) => new Nvdimm(this.kernel, this.path, id, dimm));
    this.regions = spec.regions.map((region, id) => new Region(this.kernel, this, id, region));
  }

  /** Module by number. @throws KernelError ENODEV */
  dimm(id: number): Nvdimm {
    const dimm = this.dimms[id];
    if (!dimm) throw new KernelError("ENODEV", `${this.name} has no module nmem${id}`);
    return dimm;
  }

  /** Region by name. @throws KernelError ENODEV */
  region(name: string): Region {
    const region = this.regions.find((one) => one.name === name);
    if (!region) throw new KernelError("ENODEV", `${this.name} has no ${name}`);
    return region;
  }

  /** The region that a physical address lies in. */
  regionAt(address: number): Region | undefined {
    return this.regions.find(({ start, end }) => address >= start && address < end);
  }

  /** Namespace by name. @throws KernelError ENODEV */
  namespace(name: string): Namespace {
    const [, region, id] = /^namespace(\d+)\.(\d+)$/.exec(name) ?? [];
    const namespace = this.regions[Number(region)]?.namespaces.get(Number(id));
    if (!namespace) throw new KernelError("ENODEV", `${this.name} has no ${name}`);
    return namespace;
  }

  namespaces(): Namespace[] {
    return this.regions.flatMap(({ namespaces }) =>
      [...namespaces.values()].sort((one, other) => one.id - other.id),
    );
  }

  claims(): Claim[] {
    return this.regions.flatMap(({ claims }) => [...claims.values()]);
  }

  /** Runs an atomic action with reconfig_mutex held. @see nvdimm_bus_lock() */
  *locked<T>(action: () => T): Sleeps<T> {
    yield* this.reconfig.lock();
    try {
      return action();
    } finally {
      this.reconfig.unlock();
    }
  }

  /** Runs an action that may sleep with reconfig_mutex held. */
  *lockedWhile<T>(action: () => Sleeps<T>): Sleeps<T> {
    yield* this.reconfig.lock();
    try {
      return yield* action();
    } finally {
      this.reconfig.unlock();
    }
  }

  /** Runs a driver's probe, for which configuration through sysfs waits. @see nvdimm_bus_probe() */
  *probing<T>(probe: () => Sleeps<T>): Sleeps<T> {
    this.#probesActive++;
    try {
      return yield* probe();
    } finally {
      this.#probesActive--;
    }
  }

  /**
   * Waits until no probe is in progress. A probe holds only its own device's lock, so waiting with other locks held
   * is safe.
   *
   * @see wait_nvdimm_bus_probe_idle()
   */
  *waitProbeIdle(): Sleeps<void> {
    yield* this.#probeIdle.waitEvent(() => this.#probesActive === 0);
  }

  get probesActive(): number {
    return this.#probesActive;
  }

  /** Whether no namespace and no claim has the uuid. @see nd_is_uuid_unique() */
  isUuidUnique(uuid: string): boolean {
    return ![...this.namespaces(), ...this.claims()].some((device) => device.uuid === uuid);
  }
}
