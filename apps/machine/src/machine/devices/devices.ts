// The devices of a machine whose memory may get struct pages: how it is mapped, the dax bus, persistent memory and what
// the firmware sets aside. One call makes them all, in the order in which their drivers start.
import type { Sleeps } from "@hetmem/kernel";
import type { Pagemaps } from "@hetmem/memremap";
import type { FileObject, Vm } from "@hetmem/mm";
import { type NvdimmBus, nvdimmTables, runNfitWork } from "@hetmem/nvdimm";
import type { ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";
import { nodesOfDevice } from "../../spec/affinity.ts";
import type { MachineSpec } from "../../spec/machine-spec.ts";
import type { Profile } from "../profile.ts";
import { createDax, type MachineDax } from "./dax-bus.ts";
import type { Hardware } from "./hardware.ts";
import { createHmemRegions } from "./hmem.ts";
import { memoryTieringTable, MemoryTypes } from "./memory-tiering.ts";
import { createNvdimm } from "./nvdimm.ts";
import { MachineMappings } from "./nvdimm-mappings.ts";

export interface Devices {
  readonly pagemaps: Pagemaps;
  readonly dax: MachineDax;
  readonly memoryTypes: MemoryTypes;
  /** undefined where there is no persistent memory. */
  readonly nvdimm: NvdimmBus | undefined;
  /**
   * Opens /dev/daxN.M; undefined for any other path.
   *
   * @throws KernelError ENXIO when device_dax doesn't run it
   */
  open(path: string): FileObject | undefined;
  /** What workqueues of devices do once nobody has the processor. */
  settle(): Sleeps<void>;
  readonly tables: readonly AttributeTable[];
}

export interface DevicesOptions {
  readonly spec: MachineSpec;
  readonly profile: Profile;
  readonly vm: Vm;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly hardware: Hardware;
}

export function createDevices({ spec, profile, vm, iomem, pagemaps, hardware }: DevicesOptions): Devices {
  const memoryTypes = new MemoryTypes(vm.tiers);
  const dax = createDax({ vm, iomem, pagemaps, memoryTypes, policy: profile.dax });
  let hasWork = false;
  const nvdimm =
    spec.nvdimm &&
    createNvdimm({
      kernel: vm.kernel,
      iomem,
      spec: spec.nvdimm,
      hardware,
      mappings: new MachineMappings(pagemaps, dax, spec.nvdimm.ranges),
      onWork: () => {
        hasWork = true;
      },
    });
  if (profile.dax.kmem) {
    // Regions of persistent memory have the first numbers.
    const firstId = spec.nvdimm?.ranges.length ?? 0;
    createHmemRegions(dax.bus, spec.iomem, (range) => nodesOfDevice(spec, range), firstId);
  }
  return {
    pagemaps,
    dax,
    memoryTypes,
    nvdimm,
    open(path) {
      const name = path.replace(/^\/dev\//, "");
      const device = dax.bus.devices.get(name) ?? dax.bus.classDevices.get(name);
      return device && path === `/dev/${name}` ? dax.deviceDax.open(device, true) : undefined;
    },
    *settle() {
      if (!nvdimm || !hasWork) return;
      hasWork = false;
      yield* runNfitWork(nvdimm);
    },
    tables: [
      ...(nvdimm ? nvdimmTables(nvdimm) : []),
      ...dax.tables,
      ...(profile.memoryTiering ? [memoryTieringTable(memoryTypes)] : []),
    ],
  };
}
