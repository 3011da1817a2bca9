// The bus of a machine's persistent memory, from what its specification says and what lies on its modules. Kernel
// counterparts: drivers/acpi/nfit/core.c, drivers/nvdimm/e820.c.
import { createKernel, type Kernel, run, type Sleeps } from "@hetmem/kernel";
import {
  type ClaimKind,
  type DaxRegionMapping,
  type DimmSpec,
  type NvdimmBus,
  type NvdimmBusSpec,
  type NvdimmMappings,
  type PfnLayoutPolicy,
  type RegionSpec,
  registerNvdimmBus,
  restoreNamespace,
  unregisterNvdimmBus,
} from "@hetmem/nvdimm";
import { createIomem, type ResourceTree } from "@hetmem/resource";
import type { NvdimmModule, NvdimmRange, NvdimmSpec } from "@hetmem/machine-spec";
import type { Hardware } from "./hardware.ts";

export interface NvdimmOptions {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly spec: NvdimmSpec;
  readonly hardware: Hardware;
  readonly pfnLayout: PfnLayoutPolicy;
  readonly claimKinds: readonly ClaimKind[];
  readonly mappings: NvdimmMappings;
  /** Told when the bus has work for its queue. */
  readonly onWork: () => void;
}

/** The bus's path in the tree of devices. */
const PARENTS = {
  "ACPI.NFIT": "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00",
  e820: "/devices/platform/e820_pmem",
} as const;

export function createNvdimm({ spec, hardware, ...options }: NvdimmOptions): NvdimmBus {
  return run(
    registerNvdimmBus({
      ...firmwareTables(spec, hardware),
      ...options,
      newUuid: hardware.newUuid,
    }),
  );
}

/** Writes the namespaces of a captured host to modules that are new: a machine that boots with them has the same. */
export function writeNamespaces(spec: NvdimmSpec, hardware: Hardware): void {
  if (spec.ranges.every(({ namespaces = [] }) => namespaces.length === 0)) return;
  // The media are written through a bus of their own, which has no files and maps nothing.
  const bus = run(
    registerNvdimmBus({
      ...firmwareTables(spec, hardware),
      kernel: createKernel(),
      iomem: createIomem(52),
      mappings: MAPS_NOTHING,
      newUuid: hardware.newUuid,
    }),
  );
  spec.ranges.forEach(({ namespaces = [] }, id) => {
    for (const record of namespaces) run(restoreNamespace(bus.region(`region${id}`), record));
  });
  run(unregisterNvdimmBus(bus));
}

function* nothingMapped(): Sleeps<DaxRegionMapping> {
  return { *release() {}, memoryFailureQueue() {} };
}
const MAPS_NOTHING: NvdimmMappings = {
  attach() {},
  memremap: nothingMapped,
  memremapPages: nothingMapped,
  createDaxRegion: nothingMapped,
};

function firmwareTables(
  { provider, firmware, modules, ranges }: NvdimmSpec,
  hardware: Hardware,
): Pick<NvdimmBusSpec, "provider" | "firmware" | "parent" | "dimms" | "regions"> {
  return {
    provider,
    firmware,
    parent: PARENTS[provider],
    dimms: modules.flatMap((module, id) => dimmSpec(module, hardware.modules[id])),
    regions: ranges.map((range, id) => regionSpec(range, hardware.ranges[id])),
  };
}

function dimmSpec(
  { handle, physId, vendor, device, serial }: NvdimmModule,
  media: DimmSpec["media"] | undefined,
): DimmSpec[] {
  if (!media) return [];
  return [
    {
      media,
      ...(handle !== undefined && { handle }),
      ...(physId !== undefined && { physId }),
      ...(vendor !== undefined && { vendor }),
      ...(device !== undefined && { device }),
      ...(serial !== undefined && { serial }),
    },
  ];
}

function regionSpec(range: NvdimmRange, media: RegionSpec["media"]): RegionSpec {
  const { start, end, mappings, numaNode, targetNode, persistenceDomain } = range;
  return {
    start,
    size: end - start,
    mappings,
    numaNode,
    targetNode,
    ...(media && { media }),
    ...(persistenceDomain && { persistenceDomain }),
  };
}
