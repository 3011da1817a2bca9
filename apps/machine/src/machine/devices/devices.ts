// The devices of a machine whose memory may get struct pages: how it is mapped, the dax bus, persistent memory, what the
// firmware sets aside, and gpus. One call makes them all, in the order in which their drivers start.
import type { Sleeps } from "@hetmem/kernel";
import { type MachineSpec, nodesOfDevice } from "@hetmem/machine-spec";
import type { Pagemaps } from "@hetmem/memremap";
import type { FileObject } from "@hetmem/mm/file";
import type { Vm } from "@hetmem/mm";
import { type ClaimKind, type NvdimmBus, NvdimmDeviceNodes, nvdimmTables, runNfitWork } from "@hetmem/nvdimm";
import type { ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";
import type { MemoryFailure } from "@hetmem/zone";
import type { MachineParts } from "../../parts/machine-parts.ts";
import { createDax, type MachineDax } from "./dax-bus.ts";
import { Gpus } from "./gpus.ts";
import type { Hardware } from "./hardware.ts";
import { createHmemRegions } from "./hmem.ts";
import { MemoryFailureQueue } from "./memory-failure-queue.ts";
import { memoryTieringTable } from "./memory-tiering.ts";
import { MachineMappings } from "./nvdimm-mappings.ts";
import { createNvdimm } from "./nvdimm.ts";

export interface Devices {
  readonly pagemaps: Pagemaps;
  readonly dax: MachineDax;
  /** undefined where there is no persistent memory. */
  readonly nvdimm: NvdimmBus | undefined;
  /** /dev/nmemN, /dev/ndctlN and /dev/pmemN, for ioctl. */
  readonly nvdimmNodes: NvdimmDeviceNodes | undefined;
  readonly gpus: Gpus;
  /**
   * Opens /dev/daxN.M or /dev/gpuN; undefined for any other path.
   *
   * @throws KernelError ENXIO when no driver of the device gives it a file
   */
  open(path: string): FileObject | undefined;
  /** Runs the workqueues of devices, once no task has the processor. */
  settle(): Sleeps<void>;
  readonly tables: readonly AttributeTable[];
}

export interface DevicesOptions {
  readonly spec: MachineSpec;
  readonly parts: MachineParts;
  readonly vm: Vm;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  /** Hears of device memory that turns out to be bad. */
  readonly failure: MemoryFailure;
  readonly hardware: Hardware;
}

export function createDevices(options: DevicesOptions): Devices {
  const { spec, parts, vm, iomem, pagemaps, failure, hardware } = options;
  const dax = createDax({ vm, iomem, pagemaps, parts });
  const failures = new MemoryFailureQueue(failure);
  let hasWork = false;
  const nvdimm =
    spec.nvdimm &&
    createNvdimm({
      kernel: vm.kernel,
      iomem,
      spec: spec.nvdimm,
      hardware,
      pfnLayout: parts.pfnLayout,
      claimKinds: claimKindsOf(parts),
      mappings: new MachineMappings({ pagemaps, dax, ranges: spec.nvdimm.ranges, failures }),
      onWork: () => {
        hasWork = true;
      },
    });
  if (parts.daxSubsystem === "bus" && parts.config.has("DEV_DAX_HMEM")) {
    // Regions of persistent memory have the first numbers.
    const firstId = spec.nvdimm?.ranges.length ?? 0;
    const { stores } = pagemaps.memmap;
    createHmemRegions(dax.bus, stores, spec.iomem, (range) => nodesOfDevice(spec, range), firstId);
  }
  const gpus = new Gpus({
    specs: spec.gpus ?? [],
    drivers: parts.gpuDrivers,
    policies: parts.gpuPolicies,
    host: { vm, pagemaps },
  });
  return {
    pagemaps,
    dax,
    nvdimm,
    nvdimmNodes: nvdimm && new NvdimmDeviceNodes(nvdimm),
    gpus,
    open(path) {
      const [, name] = /^\/dev\/([^/]+)$/.exec(path) ?? [];
      if (name === undefined) return undefined;
      const device = dax.bus.devices.get(name) ?? dax.bus.classDevices.get(name);
      return device ? dax.open(device) : gpus.all.get(name)?.file;
    },
    *settle() {
      if (nvdimm && hasWork) {
        hasWork = false;
        yield* runNfitWork(nvdimm);
      }
      yield* failures.work();
    },
    tables: [
      ...(nvdimm ? nvdimmTables(nvdimm) : []),
      ...dax.tables,
      ...gpus.tables,
      ...(parts.memoryTiering ? [memoryTieringTable(vm.tiers)] : []),
    ],
  };
}

/** The personalities of namespaces that the kernel has. */
function claimKindsOf({ config }: MachineParts): ClaimKind[] {
  return [
    "btt",
    ...(config.has("NVDIMM_PFN") ? (["pfn"] as const) : []),
    ...(config.has("NVDIMM_DAX") ? (["dax"] as const) : []),
  ];
}
