// The files in which a running kernel shows its memory, read once and not interpreted. A live host, a capture and a machine that hetmem booted
// are read by the same code, so that they can be compared.
import { physAddr } from "@hetmem/kernel";
import type { IomemEntry, MemoryRange } from "@hetmem/machine-spec";
import { fieldsOf } from "@hetmem/vfs";
import { readIomem } from "./iomem.ts";
import { type HostBlocks, readMemoryBlocks } from "./memory-blocks.ts";
import { type HostNodes, readNodes } from "./nodes.ts";
import { fileLabel, type HostTree, readRequired } from "./tree.ts";
import { parseZoneinfo, type Zoneinfo } from "./zoneinfo.ts";

export interface Host {
  readonly name: string;
  readonly iomem: readonly IomemEntry[];
  readonly zoneinfo: Zoneinfo;
  /** Absent on a kernel without memory hotplug. */
  readonly blocks: HostBlocks | undefined;
  /** Absent on a kernel without NUMA. */
  readonly nodes: HostNodes | undefined;
  /** MemTotal and the like, in kB, by name. */
  readonly meminfo: ReadonlyMap<string, number>;
  /** `uname -r`. */
  readonly release: string;
}

/**
 * Reads a host.
 *
 * @throws KernelError ENOENT for a file that is not there, EINVAL for one that does not hold what it should
 */
export function readHost(tree: HostTree): Host {
  return {
    name: tree.name,
    iomem: readIomem(
      readRequired(tree, "/proc/iomem", "the physical address map"),
      fileLabel(tree, "/proc/iomem"),
    ),
    zoneinfo: parseZoneinfo(
      readRequired(tree, "/proc/zoneinfo", "the zones and their counters"),
      fileLabel(tree, "/proc/zoneinfo"),
    ),
    blocks: readMemoryBlocks(tree),
    nodes: readNodes(tree),
    meminfo: fieldsOf(tree.read("/proc/meminfo") ?? ""),
    release: /^Linux version (\S+)/.exec(tree.read("/proc/version") ?? "")?.[1] ?? "unknown",
  };
}

/** The physical addresses of a memory block. */
export function blockRange(id: number, blockSize: number): MemoryRange {
  return { start: physAddr(id * blockSize), end: physAddr((id + 1) * blockSize) };
}
