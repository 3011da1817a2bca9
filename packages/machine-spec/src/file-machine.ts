// From the values of a machine file to a specification: memory is laid out, devices are placed, and missing values get their
// defaults. Each problem is reported with its place in the file.
import { GiB, isAligned, type NodeId, nodeId, PAGE_SIZE, physAddr, writeSize } from "@hetmem/kernel";
import { LOCAL_DISTANCE, REMOTE_DISTANCE } from "@hetmem/zone";
import { DEFAULT_BLOCK_SIZE, DEFAULT_PHYSICAL_BITS, DEFAULT_PROFILE } from "./defaults.ts";
import { type DeviceLine, deviceProblems } from "./devices.ts";
import { gpuProblems, gpusOf, placedGpus } from "./gpus.ts";
import { defaultPciHole, layoutIomem, type MemoryWish, placeMemory, usableRam } from "./layout.ts";
import { NODES_MAX } from "./limits.ts";
import type {
  DeviceAffinity,
  GpuSpec,
  HiddenMemory,
  IomemEntry,
  KernelOptions,
  MachineSpec,
  MemoryRange,
  NodeSpec,
  ProfileName,
  SwapArea,
} from "./machine-spec.ts";
import { nvdimmOfDevices, nvdimmProblems } from "./nvdimm.ts";
import type { SpecPath, SpecProblem } from "./problem.ts";
import type { MachineFile, RangeWish } from "./yaml-schema.ts";

const LARGE_BLOCK_SIZE = 2 * GiB;
const LARGE_BLOCKS_FROM = 64 * GiB;
/** Pieces of memory of all nodes. @see E820_MAX_ENTRIES in arch/x86/include/asm/e820/types.h: 128, and three a node */
const PIECES_MAX = 128 + 3 * NODES_MAX;
const LEAST_SWAP_BYTES = 10 * PAGE_SIZE;

/**
 * Converts a file to a specification, whose `bootUsage` is still empty.
 *
 * @param name the name of a machine whose file gives none
 * @param profile wins over the file's own
 * @returns the specification, and the problems of the file
 */
export function specOfFile(
  file: MachineFile,
  name: string,
  profile: ProfileName = file.profile ?? DEFAULT_PROFILE,
): { spec: MachineSpec; problems: SpecProblem[] } {
  const problems: SpecProblem[] = [];
  const blockSize = file.block_size ?? defaultBlockSize(file);
  const hole = pciHole(file, blockSize, problems);
  const nodes = nodesOf(file, hole, problems);
  const hidden = (file.hidden ?? []).map((range, index) =>
    hiddenRange(range, index, nodes, blockSize, problems),
  );
  const devices = (file.devices ?? []).map((device, index) => deviceLine(device, index, problems));
  const gpus = gpusOf(file);
  const lines = placedDevices(devices, gpus);
  const physicalBits = file.physical_bits ?? DEFAULT_PHYSICAL_BITS;
  const ram = nodes.flatMap((node) => node.memory);
  problems.push(
    ...holeProblems(ram, hole),
    ...deviceProblems(lines, layoutIomem(ram, hole, []), physicalBits),
    ...swapProblems(file),
    ...nvdimmProblems(file, nodes),
    ...gpuProblems(file, nodes),
  );
  const distances =
    file.distances ?? nodes.map((a) => nodes.map((b) => (a === b ? LOCAL_DISTANCE : REMOTE_DISTANCE)));
  const affinity = affinityOf(file, devices);
  const nvdimm = nvdimmOfDevices(file, devices, { affinity, nodes, distances });
  const entries = lines.map(({ entry }) => entry);
  const spec: MachineSpec = {
    name: file.name ?? name,
    profile,
    iomem: layoutIomem(ram, hole, entries),
    nodes,
    distances,
    blockSize,
    physicalBits,
    ...(file.direct_map_bits !== undefined && { directMapBits: file.direct_map_bits }),
    ...(file.max_memory !== undefined && { maxMemory: file.max_memory }),
    bootUsage: [],
    hidden,
    options: optionsOf(file),
    ...(affinity.length > 0 && { affinity }),
    ...(nvdimm && { nvdimm }),
    ...(gpus.length > 0 && { gpus }),
    ...(file.rules && { rules: file.rules }),
    ...(file.swap && { swap: file.swap.map(swapArea) }),
    ...(file.sysctl && { sysctl: file.sysctl }),
    ...(file.cgroup && { cgroup: file.cgroup }),
    release: file.release ?? `${profile.slice(1)}.0-hetmem`,
  };
  return { spec, problems };
}

function nodesOf(file: MachineFile, hole: MemoryRange | undefined, problems: SpecProblem[]): NodeSpec[] {
  const placed = placeMemory(
    file.nodes.map((_, index) => wishes(file, index, problems)),
    hole,
  );
  const nodes: NodeSpec[] = file.nodes.map((node, index) => ({
    id: nodeId(node.id ?? index),
    memory: (placed[index] ?? [])
      .flatMap(usableRam)
      .sort((a, b) => a.start - b.start)
      .map((range) => (node.hotpluggable ? { ...range, hotpluggable: true } : range)),
    cpus: node.cpus ?? [],
  }));
  if (nodes.some((node, index) => index > 0 && node.id <= (nodes[index - 1]?.id ?? 0))) {
    problems.push({
      path: ["nodes"],
      message: "the ids of nodes must rise; order them, or leave the ids out",
    });
  }
  problems.push(...movableNodeProblems(file, nodes));
  return nodes;
}

/** Lines of /proc/iomem for all devices that have a place before the machine boots. */
function placedDevices(devices: readonly IomemEntry[], gpus: readonly GpuSpec[]): DeviceLine[] {
  return [...devices.map((entry, index) => ({ entry, path: ["devices", index] })), ...placedGpus(gpus)];
}

function affinityOf(file: MachineFile, devices: readonly IomemEntry[]): DeviceAffinity[] {
  return devices.flatMap(({ start, end }, index) => {
    const node = file.devices?.[index]?.node;
    return node === undefined ? [] : [{ start, end: physAddr(end + 1), node: nodeId(node) }];
  });
}

/** Pieces of memory that are more than the kernel's map of them holds. */
export function* checkPieces({ nodes }: MachineFile): Generator<SpecProblem> {
  const pieces = nodes.reduce((sum, { memory }) => sum + (Array.isArray(memory) ? memory.length : 1), 0);
  if (pieces > PIECES_MAX)
    yield {
      path: ["nodes"],
      message: `${pieces} pieces of memory are more than the kernel's map of them holds: write at most ${PIECES_MAX}`,
    };
}

/**
 * Problems of movable_node: the kernel's own node can't be hotpluggable, and kernelcore= and movablecore= are ignored.
 *
 * @see numa_clear_kernel_node_hotplug() in arch/x86/mm/numa.c
 */
function* movableNodeProblems(file: MachineFile, nodes: readonly NodeSpec[]): Generator<SpecProblem> {
  const lowest = Math.min(...nodes.flatMap(({ memory }) => memory.map(({ start }) => start)));
  const kernelNode = nodes.findIndex(({ memory }) => memory.some(({ start }) => start === lowest));
  if (file.nodes[kernelNode]?.hotpluggable) {
    yield {
      path: ["nodes", kernelNode, "hotpluggable"],
      message: "the kernel lies in this node, so it can't be taken away; leave hotpluggable out",
    };
  }
  const { movable_node: movableNode, kernelcore, movablecore } = file.options ?? {};
  if (movableNode && (kernelcore !== undefined || movablecore !== undefined)) {
    yield {
      path: ["options", "movable_node"],
      message: "the kernel ignores kernelcore and movablecore with it; keep one of the two ways",
    };
  }
}

/**
 * The size of memory blocks of a file that gives none. x86 has blocks of 2 GiB if memory ends at 64 GiB or above. Here all ranges
 * must begin and end at multiples of 2 GiB, too, so that a file may have a smaller piece of memory.
 *
 * @see probe_memory_block_size() in arch/x86/mm/init_64.c
 */
function defaultBlockSize({ nodes, hidden = [], pci_hole: hole }: MachineFile): number {
  const ram = nodes.flatMap(({ memory = [] }) => memory);
  const end = ram.reduce<number>(
    (top, piece) => (typeof piece === "number" ? top + piece : Math.max(top, endOf(piece))),
    0,
  );
  const borders = [...ram, ...hidden, ...(typeof hole === "object" ? [hole] : [])].flatMap((piece) =>
    typeof piece === "number" ? piece : [piece.start, endOf(piece)],
  );
  const large = end >= LARGE_BLOCKS_FROM && borders.every((border) => isAligned(border, LARGE_BLOCK_SIZE));
  return large ? LARGE_BLOCK_SIZE : DEFAULT_BLOCK_SIZE;
}

function pciHole(file: MachineFile, blockSize: number, problems: SpecProblem[]): MemoryRange | undefined {
  if (file.pci_hole === undefined)
    return file.nodes.some((node) => hasRange(node.memory)) ? undefined : defaultPciHole(blockSize);
  if (file.pci_hole === "none") return undefined;
  return rangeOf(file.pci_hole, ["pci_hole"], PAGE_SIZE, problems);
}

function* holeProblems(ram: readonly MemoryRange[], hole: MemoryRange | undefined): Generator<SpecProblem> {
  const filled = ram.find(({ start, end }) => hole && start < hole.end && end > hole.start);
  if (filled)
    yield {
      path: ["pci_hole"],
      message: `the hole lies over RAM at ${writeSize(filled.start)}-${writeSize(filled.end)}: move it, or leave it out`,
    };
}

function hasRange(memory: MachineFile["nodes"][number]["memory"]): boolean {
  return (Array.isArray(memory) ? memory : [memory]).some((piece) => typeof piece === "object");
}

/** The memory of a node. RAM may begin and end on any page; a memory block that is present in part can't go offline. */
function wishes(file: MachineFile, index: number, problems: SpecProblem[]): MemoryWish[] {
  const memory = file.nodes[index]?.memory ?? [];
  const path: SpecPath = ["nodes", index, "memory"];
  return (Array.isArray(memory) ? memory : [memory]).map((piece, at) => {
    const here = Array.isArray(memory) ? [...path, at] : path;
    if (typeof piece !== "number") return rangeOf(piece, here, PAGE_SIZE, problems);
    if (!isAligned(piece, PAGE_SIZE))
      problems.push({
        path: here,
        message: `${writeSize(piece)} is not a whole number of pages; use a multiple of 4K`,
      });
    return { size: piece };
  });
}

function hiddenRange(
  hidden: NonNullable<MachineFile["hidden"]>[number],
  index: number,
  nodes: readonly NodeSpec[],
  blockSize: number,
  problems: SpecProblem[],
): HiddenMemory {
  const path = ["hidden", index];
  const range = rangeOf(hidden, path, blockSize, problems);
  if (hidden.node === undefined) return range;
  const node: NodeId = nodeId(hidden.node);
  if (!nodes.some(({ id }) => id === node))
    problems.push({
      path: [...path, "node"],
      message: `there is no node ${node}; add it to nodes, without memory`,
    });
  return { ...range, node };
}

function* swapProblems({ swap = [] }: MachineFile): Generator<SpecProblem> {
  for (const [index, { path, size }] of swap.entries()) {
    if (size < LEAST_SWAP_BYTES)
      yield {
        path: ["swap", index, "size"],
        message: "a swap area has ten pages at least; write 40K or more",
      };
    if (swap.findIndex((area) => area.path === path) < index)
      yield {
        path: ["swap", index, "path"],
        message: `${path} is there already; give each area its own path`,
      };
  }
}

function swapArea({ path, size, priority }: NonNullable<MachineFile["swap"]>[number]): SwapArea {
  return { path, size, ...(priority !== undefined && { priority }) };
}

function deviceLine(
  device: NonNullable<MachineFile["devices"]>[number],
  index: number,
  problems: SpecProblem[],
): IomemEntry {
  const { start, end } = rangeOf(device, ["devices", index], PAGE_SIZE, problems);
  return { start, end: physAddr(end - 1), name: device.name, children: [] };
}

function rangeOf(wish: RangeWish, path: SpecPath, unit: number, problems: SpecProblem[]): MemoryRange {
  const { start } = wish;
  const end = endOf(wish);
  if ((wish.end === undefined) === (wish.size === undefined))
    problems.push({ path, message: "a range has a start and either an end or a size; write one of the two" });
  else if (end <= start)
    problems.push({ path, message: "the range is empty; its end must be above its start" });
  if (!isAligned(start, unit) || !isAligned(end, unit)) {
    const what =
      unit === PAGE_SIZE
        ? "on a page; use multiples of 4K"
        : `on a memory block; use multiples of ${writeSize(unit)}`;
    problems.push({ path, message: `the range does not start and end ${what}` });
  }
  return { start: physAddr(start), end: physAddr(end) };
}

function endOf({ start, end, size = 0 }: RangeWish): number {
  return end ?? start + size;
}

/** The options that are set. An absent option stays absent: the kernel's default holds. */
function optionsOf({ options = {} }: MachineFile): KernelOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
