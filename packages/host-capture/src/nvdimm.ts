// The persistent memory of a host: modules, regions that are interleaved over them, and namespaces in these. Kernel
// counterparts: nd_region_attributes in drivers/nvdimm/region_devs.c, acpi_nfit_dimm_attributes in drivers/acpi/nfit/core.c.
import { physAddr } from "@hetmem/kernel";
import type { IomemEntry, NvdimmModule, NvdimmRange, NvdimmSpec } from "@hetmem/machine-spec";
import { nodeIn, numberedIn, numberIn, textIn } from "./attributes.ts";
import { readNamespaces } from "./namespaces.ts";
import type { HostTree } from "./tree.ts";

export interface HostNvdimm {
  readonly spec: NvdimmSpec | undefined;
  /** /proc/iomem without the lines of drivers of persistent memory. */
  readonly iomem: readonly IomemEntry[];
}

/** `nstype` of a region whose namespaces come from labels. @see include/uapi/linux/ndctl.h */
const ND_DEVICE_NAMESPACE_PMEM = 5;
/** The device of each kind of bus. */
const PROVIDERS = {
  "ACPI.NFIT": "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00",
  e820: "/sys/devices/platform/e820_pmem",
} as const;

/** The directories of all regions. */
export function nvdimmRegions(tree: HostTree): string[] {
  return Object.values(PROVIDERS).flatMap((provider) =>
    numberedIn(tree, provider, "ndbus").flatMap((bus) => numberedIn(tree, bus, "region")),
  );
}

export function readNvdimm(tree: HostTree, iomem: readonly IomemEntry[], notices: string[]): HostNvdimm {
  for (const provider of ["ACPI.NFIT", "e820"] as const) {
    const [bus] = numberedIn(tree, PROVIDERS[provider], "ndbus");
    if (bus === undefined) continue;
    const spec = readBus(tree, bus, provider, notices);
    if (spec.ranges.length > 0) return { spec, iomem: withoutDrivers(iomem, spec.ranges) };
  }
  return { spec: undefined, iomem };
}

function readBus(
  tree: HostTree,
  bus: string,
  provider: NvdimmSpec["provider"],
  notices: string[],
): NvdimmSpec {
  const regions = numberedIn(tree, bus, "region");
  const ranges = regions.flatMap((region) => readRegion(tree, region, notices));
  // Only modules with labels make up regions whose namespaces come from them.
  const labelled = regions
    .filter((region) => numberIn(tree, `${region}/nstype`) === ND_DEVICE_NAMESPACE_PMEM)
    .flatMap((region) => readMappings(tree, region).map(({ dimm }) => dimm));
  const commands = tree.read(`${bus}/commands`) ?? "";
  return {
    provider,
    firmware: /\bars_start\b/.test(commands) ? "ars" : provider === "e820" ? "none" : "labels",
    modules: numberedIn(tree, bus, "nmem").map((module, id) => ({
      ...readModule(tree, module, id, ranges),
      ...(labelled.includes(id) && { labelled: true }),
    })),
    ranges,
  };
}

function readRegion(tree: HostTree, region: string, notices: string[]): NvdimmRange[] {
  const start = numberIn(tree, `${region}/resource`);
  const size = numberIn(tree, `${region}/size`);
  if (start === undefined || !size) {
    notices.push(
      `${region} does not say where its memory is (only root may read that): the machine has no persistent memory there.`,
    );
    return [];
  }
  const domain = textIn(tree, `${region}/persistence_domain`);
  const mappings = readMappings(tree, region);
  const namespaces = readNamespaces(tree, region, notices);
  return [
    {
      start: physAddr(start),
      end: physAddr(start + size),
      mappings,
      numaNode: nodeIn(tree, `${region}/numa_node`),
      targetNode: nodeIn(tree, `${region}/target_node`),
      ...((domain === "cpu_cache" || domain === "memory_controller") && { persistenceDomain: domain }),
      ...(namespaces.length > 0 && { namespaces }),
    },
  ];
}

/** Modules in the order of interleaving, with the first byte of each that the region has. */
function readMappings(tree: HostTree, region: string): { readonly dimm: number; readonly start: number }[] {
  return numberedIn(tree, region, "mapping")
    .map((mapping) => /^nmem(\d+),(\d+),/.exec(textIn(tree, mapping)))
    .flatMap((found) => (found ? [{ dimm: Number(found[1]), start: Number(found[2]) }] : []));
}

function readModule(
  tree: HostTree,
  module: string,
  id: number,
  ranges: readonly NvdimmRange[],
): NvdimmModule {
  const number = (file: string): number | undefined => numberIn(tree, `${module}/nfit/${file}`);
  const capacity = ranges.reduce((bytes, { start, end, mappings }) => {
    const own = mappings.find(({ dimm }) => dimm === id);
    return own ? Math.max(bytes, own.start + (end - start) / mappings.length) : bytes;
  }, 0);
  const known = {
    handle: number("handle"),
    physId: number("phys_id"),
    vendor: number("vendor"),
    device: number("device"),
    serial: number("serial"),
  };
  return { ...defined(known), capacity };
}

/** The entries without lines of drivers in persistent memory: the machine's drivers make their own at boot. */
function withoutDrivers(iomem: readonly IomemEntry[], ranges: readonly NvdimmRange[]): IomemEntry[] {
  return iomem.map((entry) => {
    const isPersistent = ranges.some(({ start, end }) => start < entry.end && entry.start < end);
    if (isPersistent && entry.name.startsWith("Persistent Memory"))
      return {
        ...entry,
        children: entry.children.filter(({ name }) => !/^(namespace|dax|btt)\d/.test(name)),
      };
    return { ...entry, children: withoutDrivers(entry.children, ranges) };
  });
}

/** The properties that have a value. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
