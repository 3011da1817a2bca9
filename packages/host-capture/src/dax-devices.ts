// The dax devices of a host: their ranges, their nodes, and whether kmem had made RAM of them. Kernel counterparts:
// dev_dax_attributes in drivers/dax/bus.c, drivers/dax/kmem.c.
import { physAddr } from "@hetmem/kernel";
import type { IomemEntry, MemoryRange } from "@hetmem/machine-spec";
import { nodeIn, numberedIn, numberIn } from "./attributes.ts";
import { nvdimmRegions } from "./nvdimm.ts";
import type { HostTree } from "./tree.ts";

export interface HostDaxDevice {
  /** `dax0.0`. */
  readonly name: string;
  /** Its ranges. */
  readonly ranges: readonly MemoryRange[];
  readonly numaNode: number;
  readonly targetNode: number;
  /** Whether kmem was bound to it. */
  readonly isRam: boolean;
  /** Whether its memory is soft-reserved (hmem); else it is a namespace. */
  readonly isSoftReserved: boolean;
}

const PLATFORM = "/sys/devices/platform";

export function readDaxDevices(tree: HostTree): HostDaxDevice[] {
  const hmem = numberedIn(tree, PLATFORM, "hmem.");
  const claims = nvdimmRegions(tree).flatMap((region) => daxIn(tree, region));
  return [
    ...claims.flatMap((claim) => daxIn(tree, claim).map((path) => readDevice(tree, path, false))),
    ...hmem.flatMap((claim) => daxIn(tree, claim).map((path) => readDevice(tree, path, true))),
  ].filter(({ ranges }) => ranges.length > 0);
}

/** /proc/iomem without the lines of dax drivers, which the machine's drivers make at boot. */
export function withoutDaxLines(
  iomem: readonly IomemEntry[],
  devices: readonly HostDaxDevice[],
): IomemEntry[] {
  const names = new Set(devices.map(({ name }) => name));
  return iomem.flatMap((entry) => {
    if (names.has(entry.name)) return [];
    const children = withoutDaxLines(entry.children, devices);
    // The driver's line has the range of the firmware's line, which is its child.
    return devices.length > 0 && /^hmem\.\d+$/.test(entry.name) ? children : [{ ...entry, children }];
  });
}

function daxIn(tree: HostTree, folder: string): string[] {
  return tree
    .list(folder)
    .filter((name) => /^dax\d+\.\d+$/.test(name))
    .map((name) => `${folder}/${name}`);
}

function readDevice(tree: HostTree, path: string, isSoftReserved: boolean): HostDaxDevice {
  const ranges = numberedIn(tree, path, "mapping").map((mapping) => ({
    start: physAddr(numberIn(tree, `${mapping}/start`) ?? 0),
    end: physAddr((numberIn(tree, `${mapping}/end`) ?? -1) + 1),
  }));
  return {
    name: path.slice(path.lastIndexOf("/") + 1),
    ranges: ranges.filter(({ start, end }) => end > start),
    numaNode: nodeIn(tree, `${path}/numa_node`),
    targetNode: nodeIn(tree, `${path}/target_node`),
    isRam: /^DRIVER=kmem$/m.test(tree.read(`${path}/uevent`) ?? ""),
    isSoftReserved,
  };
}
