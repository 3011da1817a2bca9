// A machine with persistent memory whose files and nodes an administrator works through: the kernel's objects are there to look at.
import { run, type Sleeps } from "@hetmem/kernel";
import { type Namespace, NvdimmDeviceNodes, type Nvdimm, nvdimmTables, type Region } from "@hetmem/nvdimm";
import { type AttributeTable, Vfs } from "@hetmem/vfs";
import { type MachineOptions, NvdimmMachine, PARENT, START } from "@hetmem/test-machines/nvdimm-machine";
import {
  busesIn,
  clearErrors,
  type CreateNamespaceOptions,
  createNamespace,
  destroyNamespace,
  type DeviceNodes,
  dimmsIn,
  disableNamespace,
  disableRegion,
  enableNamespace,
  enableRegion,
  initLabels,
  injectError,
  injectedErrors,
  type InjectErrorOptions,
  isActive,
  type LabelListing,
  listDimm,
  type Listing,
  listLabels,
  listNamespace,
  type ListOptions,
  namespacesIn,
  type NdBus,
  type NdctlContext,
  type NdDimm,
  type NdNamespace,
  type NdRegion,
  NO_DEVICE_NODES,
  readLabels,
  type ReconfigOptions,
  reconfigureNamespace,
  regionsIn,
  SILENT,
  startScrub,
  uninjectError,
  waitScrub,
  zeroLabels,
} from "../src/index.ts";

export class NdctlMachine extends NvdimmMachine {
  nodes: DeviceNodes = NO_DEVICE_NODES;
  /** Whether dax0.0 is RAM of which a block is online. */
  onlineAsRam = false;
  #vfs: Vfs | undefined;

  override *booting(): Sleeps<void> {
    yield* super.booting();
    this.nodes = new NvdimmDeviceNodes(this.bus);
    this.#vfs = undefined;
  }

  /** Its files since it was booted. */
  get vfs(): Vfs {
    if (this.#vfs) return this.#vfs;
    this.#vfs = new Vfs();
    for (const table of [...nvdimmTables(this.bus), ...this.#ramTables()]) this.#vfs.mountLazily(table);
    return this.#vfs;
  }

  get context(): NdctlContext {
    return { vfs: this.vfs, nodes: this.nodes, report: SILENT };
  }

  /** The one bus that there is. */
  get ndBus(): NdBus {
    return this.#expect(busesIn(this.context)[0], "bus");
  }

  get ndRegions(): NdRegion[] {
    return regionsIn(this.context, this.ndBus);
  }

  ndRegion(region: Pick<Region, "name">): NdRegion {
    return this.#expect(
      this.ndRegions.find(({ name }) => name === region.name),
      region.name,
    );
  }

  ndNamespace({ name, region }: Namespace): NdNamespace {
    const found = namespacesIn(this.context, this.ndRegion(region)).find((each) => each.name === name);
    return this.#expect(found, name);
  }

  ndDimm({ name }: Pick<Nvdimm, "name">): NdDimm {
    return this.#expect(
      dimmsIn(this.context, this.ndBus).find((each) => each.name === name),
      name,
    );
  }

  *create(options: CreateNamespaceOptions): Sleeps<Namespace> {
    return this.namespace((yield* createNamespace(this.context, this.ndRegions, options)).name);
  }

  *reconfigure(namespace: Namespace, options: CreateNamespaceOptions): Sleeps<Namespace> {
    const { name } = yield* reconfigureNamespace(this.context, this.ndNamespace(namespace), options);
    return this.namespace(name);
  }

  destroy(namespace: Namespace, options: ReconfigOptions = {}): Sleeps<boolean> {
    return destroyNamespace(this.context, this.ndNamespace(namespace), options);
  }

  enable(namespace: Namespace): Sleeps<void> {
    return enableNamespace(this.context, this.ndNamespace(namespace));
  }

  disable(namespace: Namespace): Sleeps<void> {
    return disableNamespace(this.context, this.ndNamespace(namespace));
  }

  isActive(namespace: Namespace): boolean {
    return run(isActive(this.context, this.ndNamespace(namespace)));
  }

  enableRegion(region: Region): Sleeps<void> {
    return enableRegion(this.context, this.ndRegion(region));
  }

  disableRegion(region: Region): Sleeps<void> {
    return disableRegion(this.context, this.ndRegion(region));
  }

  initLabels(dimm: Nvdimm): Sleeps<void> {
    return initLabels(this.context, this.ndDimm(dimm));
  }

  zeroLabels(dimm: Nvdimm): Sleeps<void> {
    return zeroLabels(this.context, this.ndDimm(dimm));
  }

  readLabels(dimm: Nvdimm): Uint8Array {
    return run(readLabels(this.context, this.ndDimm(dimm)));
  }

  listLabels(dimm: Nvdimm): LabelListing {
    return run(listLabels(this.context, this.ndDimm(dimm)));
  }

  listDimm(dimm: Nvdimm): Listing {
    return run(listDimm(this.context, this.ndDimm(dimm)));
  }

  listNamespace(namespace: Namespace, options: ListOptions = {}): Listing {
    return run(listNamespace(this.context, this.ndNamespace(namespace), options));
  }

  inject(namespace: Namespace, options: InjectErrorOptions): Sleeps<void> {
    return injectError(this.context, this.ndNamespace(namespace), options);
  }

  uninject(namespace: Namespace, options: InjectErrorOptions): Sleeps<void> {
    return uninjectError(this.context, this.ndNamespace(namespace), options);
  }

  injected(namespace: Namespace): { readonly block: number; readonly count: number }[] {
    return run(injectedErrors(this.context, this.ndNamespace(namespace)));
  }

  clearErrors(namespace: Namespace, options: { readonly scrub?: boolean } = {}): Sleeps<number | undefined> {
    return clearErrors(this.context, this.ndNamespace(namespace), options);
  }

  startScrub(): Sleeps<void> {
    return startScrub(this.context, this.ndBus);
  }

  waitScrub(): Sleeps<void> {
    return waitScrub(this.context, this.ndBus);
  }

  /** Gives every module an index; the namespaces of the first region are gone then. */
  giveLabels(): this {
    run(this.disableRegion(this.region));
    for (const dimm of this.bus.dimms) run(this.initLabels(dimm));
    run(this.enableRegion(this.region));
    return this;
  }

  /** The files of dax0.0 as kmem drives it, and of its first memory block. */
  #ramTables(): AttributeTable[] {
    const when = (name: string) => (): string[] => (this.onlineAsRam ? [name] : []);
    const region = `${PARENT}/ndbus0/region0/dax0.0`;
    const show = (text: string) => ({ show: (): string => `${text}\n` });
    return [
      {
        root: `/sys${region}`,
        instances: { ram: when("dax0.0") },
        files: {
          "{ram}/size": show(`${2 ** 30}`),
          "{ram}/resource": show(`0x${START.toString(16)}`),
          "{ram}/target_node": show("2"),
        },
        links: { "{ram}/driver": () => "/sys/bus/dax/drivers/kmem" },
      },
      {
        root: "/sys/bus/dax",
        instances: { ram: when("dax0.0") },
        directories: ["drivers/kmem"],
        links: { "devices/{ram}": () => `/sys${region}/dax0.0` },
      },
      {
        root: "/sys/devices/system",
        files: {
          "memory/block_size_bytes": show("8000000"),
          "memory/memory32/phys_index": show("00000020"),
          "node/node2/memory32/state": show("online"),
        },
      },
    ];
  }

  #expect<T>(found: T | undefined, what: string): T {
    if (found === undefined) throw new Error(`/sys has no ${what}`);
    return found;
  }
}

export function machine(options: MachineOptions = {}): NdctlMachine {
  return new NdctlMachine(options).boot();
}

/** A machine whose modules have an index, and no namespace yet. */
export function labelled(options: MachineOptions = {}): NdctlMachine {
  return machine(options).giveLabels();
}
