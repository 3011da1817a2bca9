// The dax devices of a host, as their directories show them, and what had become of them: those that kmem has are RAM. Kernel
// counterparts: dev_dax_attributes in drivers/dax/bus.c, drivers/dax/kmem.c.
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
  /** Whether its memory was RAM. */
  readonly isRam: boolean;
  /** Who provides it: the firmware (hmem), or a namespace. */
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

/** /proc/iomem without what the drivers of dax devices had made of them: they make it anew when the machine boots. */
export function withoutDaxLines(
  iomem: readonly IomemEntry[],
  devices: readonly HostDaxDevice[],
): IomemEntry[] {
  const names = new Set(devices.map(({ name }) => name));
  return iomem.flatMap((entry) => {
    if (names.has(entry.name)) return [];
    const children = withoutDaxLines(entry.children, devices);
    // The driver's line holds the firmware's, which it is as long as.
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
