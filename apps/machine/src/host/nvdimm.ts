// The persistent memory of a host, as /sys/bus/nd shows it: modules, and the regions that they make up. Namespaces come
// from labels, which no file of /sys shows: the machine has the same regions, empty. Kernel counterparts: nd_region_attributes
// in drivers/nvdimm/region_devs.c, acpi_nfit_dimm_attributes in drivers/acpi/nfit/core.c.
import { physAddr } from "@hetmem/kernel";
import type { IomemEntry, NvdimmModule, NvdimmRange, NvdimmSpec } from "../spec/machine-spec.ts";
import type { HostTree } from "./tree.ts";

export interface HostNvdimm {
  readonly spec: NvdimmSpec | undefined;
  /** The lines of /proc/iomem without what drivers had made of persistent memory. */
  readonly iomem: readonly IomemEntry[];
}

/** Where buses stand. */
const PROVIDERS = {
  "ACPI.NFIT": "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00",
  e820: "/sys/devices/platform/e820_pmem",
} as const;

export function readNvdimm(tree: HostTree, iomem: readonly IomemEntry[], notices: string[]): HostNvdimm {
  for (const provider of ["ACPI.NFIT", "e820"] as const) {
    const [bus] = tree.list(PROVIDERS[provider]).filter((name) => /^ndbus\d+$/.test(name));
    if (bus === undefined) continue;
    const spec = readBus(tree, `${PROVIDERS[provider]}/${bus}`, provider, notices);
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
  const names = tree.list(bus);
  const numbered = (prefix: string): string[] =>
    names
      .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
      .sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)));
  const ranges = numbered("region").flatMap((region) => readRegion(tree, `${bus}/${region}`, notices));
  const commands = tree.read(`${bus}/commands`) ?? "";
  return {
    provider,
    firmware: /\bars_start\b/.test(commands) ? "ars" : provider === "e820" ? "none" : "labels",
    modules: numbered("nmem").map((module, id) => readModule(tree, `${bus}/${module}`, id, ranges)),
    ranges,
  };
}

function readRegion(tree: HostTree, region: string, notices: string[]): NvdimmRange[] {
  const number = (file: string): number =>
    Number((tree.read(`${region}/${file}`) ?? "").trim() || Number.NaN);
  const [start, size] = [number("resource"), number("size")];
  if (!(start >= 0 && size > 0)) {
    notices.push(
      `${region} does not say where its memory is (only root may read that): the machine has no persistent memory there.`,
    );
    return [];
  }
  const domain = (tree.read(`${region}/persistence_domain`) ?? "").trim();
  const mappings = tree
    .list(region)
    .filter((name) => /^mapping\d+$/.test(name))
    .map((name) => /^nmem(\d+),(\d+),/.exec(tree.read(`${region}/${name}`) ?? ""))
    .flatMap((found) => (found ? [{ dimm: Number(found[1]), start: Number(found[2]) }] : []));
  const node = (file: string): number => (Number.isNaN(number(file)) ? -1 : number(file));
  return [
    {
      start: physAddr(start),
      end: physAddr(start + size),
      mappings,
      numaNode: node("numa_node"),
      targetNode: node("target_node"),
      ...((domain === "cpu_cache" || domain === "memory_controller") && { persistenceDomain: domain }),
    },
  ];
}

function readModule(
  tree: HostTree,
  module: string,
  id: number,
  ranges: readonly NvdimmRange[],
): NvdimmModule {
  const number = (file: string): number | undefined => {
    const text = tree.read(`${module}/nfit/${file}`)?.trim();
    return text ? Number(text) : undefined;
  };
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

/** Drivers make their lines anew when the machine boots. */
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

/** Those properties that have a value. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
