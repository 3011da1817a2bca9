// The bus of a machine's persistent memory, from what its specification says and what lies on its modules. Kernel
// counterparts: drivers/acpi/nfit/core.c, drivers/nvdimm/e820.c.
import { type Kernel, run } from "@hetmem/kernel";
import {
  type DimmSpec,
  type NvdimmBus,
  type NvdimmMappings,
  type RegionSpec,
  registerNvdimmBus,
} from "@hetmem/nvdimm";
import type { ResourceTree } from "@hetmem/resource";
import type { NvdimmModule, NvdimmRange, NvdimmSpec } from "../../spec/machine-spec.ts";
import type { Hardware } from "./hardware.ts";

export interface NvdimmOptions {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly spec: NvdimmSpec;
  readonly hardware: Hardware;
  readonly mappings: NvdimmMappings;
  /** Told when the bus has work for its queue. */
  readonly onWork: () => void;
}

/** Where the bus stands in the tree of devices. */
const PARENTS = {
  "ACPI.NFIT": "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00",
  e820: "/devices/platform/e820_pmem",
} as const;

export function createNvdimm({ kernel, iomem, spec, hardware, mappings, onWork }: NvdimmOptions): NvdimmBus {
  const { provider, firmware, modules, ranges } = spec;
  return run(
    registerNvdimmBus({
      kernel,
      iomem,
      provider,
      firmware,
      parent: PARENTS[provider],
      dimms: modules.flatMap((module, id) => dimmSpec(module, hardware.modules[id])),
      regions: ranges.map((range, id) => regionSpec(range, hardware.ranges[id])),
      mappings,
      newUuid: hardware.newUuid,
      onWork,
    }),
  );
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
