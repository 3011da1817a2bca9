// From the files of a host to a MachineSpec that boots into the same nodes, zones and totals. A notice says what can't be carried
// over. Kernel counterparts of what is read: kernel/resource.c, mm/vmstat.c, drivers/base/memory.c, drivers/base/node.c.
import { KernelError, type NodeId, nodeId, PAGE_SIZE, physAddr } from "@hetmem/kernel";
import {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DIRECT_MAP_BITS,
  DEFAULT_PHYSICAL_BITS,
  type DeviceAffinity,
  type HiddenMemory,
  type MachineSpec,
  type MemoryRange,
  type NodeSpec,
  type ProfileName,
} from "@hetmem/machine-spec";
import { LOCAL_DISTANCE, REMOTE_DISTANCE } from "@hetmem/zone";
import { type Affinity, readAffinity } from "./acpi.ts";
import { usageOfHost } from "./boot-usage.ts";
import { readOptions } from "./command-line.ts";
import { type HostDaxDevice, readDaxDevices } from "./dax-devices.ts";
import { deviceSpans } from "./device-spans.ts";
import { type Host, readHost } from "./host.ts";
import { systemRam, walkIomem } from "./iomem.ts";
import { rulesOf, withoutKmem } from "./kmem-memory.ts";
import { type NodeMemory, splitByNode } from "./node-memory.ts";
import { readNvdimm } from "./nvdimm.ts";
import { addOfflineAgain } from "./offline-memory.ts";
import { readPassthrough } from "./passthrough.ts";
import { fileLabel, type HostTree } from "./tree.ts";
import "./version.ts";

/** A kernel built for many nodes calls all of them possible. Of more than these, only the nodes that are known otherwise are kept. */
const NODES_SHOWN_MAX = 64;

export interface Capture {
  readonly spec: MachineSpec;
  readonly host: Host;
  /** Sentences about differences between the machine and its host. */
  readonly notices: readonly string[];
}

/**
 * Makes a machine of a host.
 *
 * @throws KernelError EPERM when the addresses were hidden from the reader, ENOENT or EINVAL that names the file,
 * EOPNOTSUPP for a host whose pages are not 4 KiB
 */
export function captureHost(tree: HostTree, profile: ProfileName): Capture {
  const running = readHost(tree);
  const notices: string[] = [];
  const daxDevices = readDaxDevices(tree);
  const rules = rulesOf(running, daxDevices, notices);
  const host = withoutKmem(running, daxDevices);
  const affinity = readAffinity(tree);
  const memory = splitByNode(host, affinity);
  const ramBytes = systemRam(host.iomem).reduce((bytes, range) => bytes + range.end - range.start, 0);
  refuseOtherPageSizes(tree, host, ramBytes);
  refuseMissingNodes(tree, host, memory);
  refuseUnlistedNodes(tree, host);
  const ids = possibleNodes(host, affinity, notices);
  const { usage } = usageOfHost(host);
  const blockSize = host.blocks?.blockSize ?? DEFAULT_BLOCK_SIZE;
  const offline = addOfflineAgain(host.iomem, memory.offline, blockSize, notices);
  const nvdimm = readNvdimm(tree, offline.iomem, notices);
  const spec: MachineSpec = {
    name: host.name,
    profile,
    iomem: nvdimm.iomem,
    nodes: ids.map((id) => nodeSpec(id, host, memory, notices)),
    distances: distances(ids, host, affinity),
    blockSize,
    physicalBits: physicalBits(tree),
    directMapBits: directMapBits(tree),
    bootUsage: usage,
    deviceSpans: deviceSpans(running, nvdimm.spec?.ranges ?? [], notices),
    hidden: hiddenMemory(host, affinity),
    affinity: [
      ...daxAffinity(daxDevices),
      ...affinity.memory.map(({ start, end, node }) => ({ start, end, node })),
    ],
    rules,
    ...(nvdimm.spec && { nvdimm: nvdimm.spec }),
    offline: offline.added,
    options: readOptions(tree, ramBytes, notices),
    release: host.release,
    passthrough: readPassthrough(tree),
  };
  if (!host.blocks)
    notices.push(
      "The host's kernel has no memory blocks (CONFIG_MEMORY_HOTPLUG is off): hetmem gives it blocks of 128 MiB.",
    );
  return { spec, host, notices };
}

/** Nodes of soft-reserved memory, from the dax devices that the kernel made of it. */
function daxAffinity(devices: readonly HostDaxDevice[]): DeviceAffinity[] {
  return devices
    .filter(({ isSoftReserved, targetNode }) => isSoftReserved && targetNode >= 0)
    .flatMap(({ ranges, numaNode, targetNode }) =>
      ranges.map(({ start, end }) => ({ start, end, node: nodeId(targetNode), numaNode })),
    );
}

/** A kernel with pages of 16 or 64 KiB counts a quarter or a sixteenth as many pages. */
function refuseOtherPageSizes(tree: HostTree, host: Host, ramBytes: number): void {
  const present = host.zoneinfo.zones.reduce((pages, zone) => pages + zone.present, 0);
  if (present === 0 || present * PAGE_SIZE * 2 > ramBytes) return;
  const kib = 2 ** Math.round(Math.log2(ramBytes / present)) / 1024;
  throw new KernelError(
    "EOPNOTSUPP",
    `${fileLabel(tree, "/proc/zoneinfo")} counts pages of about ${kib} KiB, and hetmem models 4 KiB pages only: use a capture of another host`,
  );
}

/** Refuses a zoneinfo that was cut short between two nodes, which parses without an error. */
function refuseMissingNodes(tree: HostTree, host: Host, memory: NodeMemory): void {
  for (const node of memory.online.keys()) {
    if (host.zoneinfo.zones.some((zone) => zone.node === node)) continue;
    throw new KernelError(
      "EINVAL",
      `${fileLabel(tree, "/proc/zoneinfo")} has no zones of node ${node}, which has memory, so the file is cut short: capture it again`,
    );
  }
}

/** Refuses a capture of several nodes without /sys/devices/system/node: it would become a machine of one node. */
function refuseUnlistedNodes(tree: HostTree, host: Host): void {
  const nodes = new Set(host.zoneinfo.zones.map((zone) => zone.node));
  if (host.nodes || nodes.size < 2) return;
  const folder = "/sys/devices/system/node";
  throw new KernelError(
    "ENOENT",
    `${fileLabel(tree, folder)} is missing, and it holds which memory and CPUs each of the ${nodes.size} nodes in proc/zoneinfo has: ${tree.live ? "mount /sys" : `capture it again with ${folder.slice(1)} in it`}`,
  );
}

function possibleNodes(host: Host, affinity: Affinity, notices: string[]): NodeId[] {
  const possible = host.nodes?.possible ?? [nodeId(0)];
  if (possible.length <= NODES_SHOWN_MAX) return [...possible].sort((a, b) => a - b);
  const named = new Set([
    ...(host.nodes?.online.map((node) => node.id) ?? []),
    ...affinity.memory.map((range) => range.node),
  ]);
  notices.push(
    `The host's kernel allows ${possible.length} nodes; the machine has the ${named.size} that are online or in its firmware's tables.`,
  );
  return [...named].sort((a, b) => a - b);
}

function nodeSpec(id: NodeId, host: Host, memory: NodeMemory, notices: string[]): NodeSpec {
  const ranges = memory.online.get(id) ?? [];
  const movableFrom = startOfMovable(id, host, ranges, notices);
  return {
    id,
    memory: ranges,
    cpus: host.nodes ? (host.nodes.online.find((node) => node.id === id)?.cpus ?? []) : [0],
    ...(movableFrom !== undefined && { movableFrom }),
  };
}

/** The first byte of ZONE_MOVABLE. A boot can make that zone only at the end of a node. */
function startOfMovable(
  id: NodeId,
  host: Host,
  ranges: readonly MemoryRange[],
  notices: string[],
): MemoryRange["start"] | undefined {
  const movable = host.zoneinfo.zones.find(
    (zone) => zone.node === id && zone.name === "Movable" && zone.present > 0,
  );
  if (!movable) return undefined;
  const start = physAddr(movable.startPfn * PAGE_SIZE);
  const bytesAbove = ranges.reduce(
    (bytes, range) => bytes + Math.max(0, range.end - Math.max(range.start, start)),
    0,
  );
  if (bytesAbove === movable.present * PAGE_SIZE) return start;
  notices.push(
    `Node ${id}'s Movable zone has other memory behind it (blocks went online one by one): the machine boots with all of it in the kernel's zones.`,
  );
  return undefined;
}

function distances(ids: readonly NodeId[], host: Host, affinity: Affinity): number[][] {
  const online = host.nodes?.online ?? [];
  return ids.map((from) =>
    ids.map((to) => {
      const seen = online.find((node) => node.id === from)?.distance[
        online.findIndex((node) => node.id === to)
      ];
      return seen ?? affinity.distances?.[from]?.[to] ?? (from === to ? LOCAL_DISTANCE : REMOTE_DISTANCE);
    }),
  );
}

function physicalBits(tree: HostTree): number {
  const bits = /address sizes\s*:\s*(\d+) bits physical/.exec(tree.read("/proc/cpuinfo") ?? "")?.[1];
  return bits === undefined ? DEFAULT_PHYSICAL_BITS : Number(bits);
}

/** @see MAX_PHYSMEM_BITS in arch/x86/include/asm/sparsemem.h */
function directMapBits(tree: HostTree): number {
  return /^flags\s*:.*\bla57\b/m.test(tree.read("/proc/cpuinfo") ?? "") ? 52 : DEFAULT_DIRECT_MAP_BITS;
}

/** Memory that the affinity table lists and /proc/iomem doesn't: mem= or memmap= kept it back. */
function hiddenMemory(host: Host, affinity: Affinity): HiddenMemory[] {
  const shown = [...walkIomem(host.iomem)].filter((entry) =>
    /^(System RAM|Persistent Memory|Soft Reserved|CXL Window)/.test(entry.name),
  );
  const blockSize = host.blocks?.blockSize ?? DEFAULT_BLOCK_SIZE;
  return affinity.memory
    .filter((range) => !range.hotpluggable && !range.nonVolatile && range.end - range.start >= blockSize)
    .filter((range) => !shown.some((entry) => entry.start < range.end && range.start <= entry.end))
    .map(({ start, end, node }) => ({ start, end, node }));
}
