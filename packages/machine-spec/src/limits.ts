// Limits of every machine, whether its specification was written or captured: memory that doesn't overlap and fits below the
// top of the physical address space, blocks that sections divide, distances between all nodes, and a memmap that holds every
// page.
import { isAligned, MiB, PAGE_SIZE, writeSize } from "@hetmem/kernel";
import { LOCAL_DISTANCE } from "@hetmem/zone";
import { MAX_PAGES, SECTION_SIZE } from "@hetmem/page";
import { DEFAULT_DIRECT_MAP_BITS } from "./defaults.ts";
import { checkKconfig } from "./kconfig.ts";
import type { MachineSpec, MemoryRange } from "./machine-spec.ts";
import { refuseProblems, type SpecPath, type SpecProblem } from "./problem.ts";

const BLOCK_SIZE_MAX = 64 * 1024 * MiB;
const PHYSICAL_BITS_MIN = 32;
const PHYSICAL_BITS_MAX = 52;
/** @see NODES_SHIFT in arch/x86/Kconfig: 1,024 nodes at most */
export const NODES_MAX = 1024;
/** @see NR_CPUS_RANGE_END in arch/x86/Kconfig */
const CPUS_MAX = 8192;
/** Each cpu keeps a list of free pages of each zone. */
const CPU_LISTS_MAX = 2 ** 16;
/** The kernel's image ends below 48 MiB, and its first programs want some, too. */
const BOOT_MEMORY_MIN = 64 * MiB;
const DISTANCE_MAX = 255;

/** @throws KernelError EINVAL with a sentence for each rule that the spec breaks */
export function refuseImpossible(spec: MachineSpec): void {
  refuseProblems(checkLimits(spec), () => `${spec.name}: `);
}

/** Each limit that the spec breaks, with the place in the spec. */
export function checkLimits(spec: MachineSpec): SpecProblem[] {
  return [
    ...checkBlockSize(spec),
    ...checkAddressWidth(spec),
    ...checkRoom(spec),
    ...checkNodes(spec),
    ...checkMemory(spec),
    ...checkSize(spec),
    ...checkCpus(spec),
    ...checkDistances(spec),
    ...checkKconfig(spec.options.kconfig ?? []),
  ];
}

/** Checks the size of memory blocks; alignment of other values is checked against it. */
export function* checkBlockSize({ blockSize }: Pick<MachineSpec, "blockSize">): Generator<SpecProblem> {
  const path = ["block_size"];
  if (!Number.isInteger(Math.log2(blockSize)) || blockSize < SECTION_SIZE || blockSize > BLOCK_SIZE_MAX) {
    yield {
      path,
      message: `${writeSize(blockSize)} can't be the size of a memory block: use a power of two from 128M (one section) to 64G`,
    };
  }
}

function* checkAddressWidth({ physicalBits, directMapBits }: MachineSpec): Generator<SpecProblem> {
  if (physicalBits < PHYSICAL_BITS_MIN || physicalBits > PHYSICAL_BITS_MAX) {
    yield {
      path: ["physical_bits"],
      message: `${physicalBits} bits can't be the width of a physical address: use ${PHYSICAL_BITS_MIN} to ${PHYSICAL_BITS_MAX}`,
    };
  }
  if (directMapBits !== undefined && directMapBits !== DEFAULT_DIRECT_MAP_BITS && directMapBits !== 52) {
    yield {
      path: ["direct_map_bits"],
      message: `no page tables map ${directMapBits} bits of physical memory: use 46 (four levels) or 52 (five)`,
    };
  }
}

function* checkRoom(spec: MachineSpec): Generator<SpecProblem> {
  const boot = [...spec.nodes.flatMap((node) => node.memory), ...(spec.offline ?? [])];
  const bytes = boot.reduce((sum, { start, end }) => sum + end - start, 0);
  if (spec.maxMemory === undefined || spec.maxMemory >= bytes) return;
  yield {
    path: ["max_memory"],
    message: `${writeSize(spec.maxMemory)} is less than the machine boots with: use ${writeSize(bytes)} or more`,
  };
}

function* checkNodes({ nodes }: MachineSpec): Generator<SpecProblem> {
  for (const [index, { id }] of nodes.entries()) {
    if (id >= NODES_MAX)
      yield {
        path: ["nodes", index, "id"],
        message: `node ${id} is one too many: use 0 to ${NODES_MAX - 1}`,
      };
  }
}

function* checkMemory(spec: MachineSpec): Generator<SpecProblem> {
  const top = 2 ** spec.physicalBits;
  const bytes = spec.nodes
    .flatMap((node) => node.memory)
    .reduce((sum, { start, end }) => sum + Math.max(0, end - start), 0);
  if (bytes === 0)
    yield { path: ["nodes"], message: "no node has memory: give one of them some, such as memory: 4G" };
  else if (bytes < BOOT_MEMORY_MIN - MiB)
    yield {
      path: ["nodes"],
      message: `the machine can't boot with ${Math.floor(bytes / MiB)}M of memory: use ${writeSize(BOOT_MEMORY_MIN)} or more`,
    };
  const placed = [...placedMemory(spec)].sort((a, b) => a.start - b.start);
  for (const [index, range] of placed.entries()) {
    const { path, start, end } = range;
    if (end <= start) yield { path, message: `${span(range)} is empty: its end must be above its start` };
    if (!isAligned(start, PAGE_SIZE) || !isAligned(end, PAGE_SIZE))
      yield { path, message: `${span(range)} does not start and end on a page: use multiples of 4K` };
    if (end > top)
      yield {
        path,
        message: `${span(range)} is past the top of the physical address space (${spec.physicalBits} bits): raise physical_bits or move it down`,
      };
    const before = placed[index - 1];
    if (before && before.end > start)
      yield { path, message: `${span(range)} overlaps ${span(before)} of ${before.of}: move one of them` };
  }
}

function* checkSize(spec: MachineSpec): Generator<SpecProblem> {
  const placed = [...placedMemory(spec)].reduce((sum, { start, end }) => sum + end - start, 0);
  const bytes = (spec.gpus ?? []).reduce((sum, { size }) => sum + size, placed);
  const pages = bytes / PAGE_SIZE;
  if (pages > MAX_PAGES) {
    yield {
      path: ["nodes"],
      message: `${pages} pages are more than the ${MAX_PAGES} that hetmem's memmap can hold: use less than 2T of memory, that of gpus included`,
    };
  }
}

function* checkCpus(spec: MachineSpec): Generator<SpecProblem> {
  const owner = new Map<number, number>();
  for (const [index, node] of spec.nodes.entries()) {
    const path = ["nodes", index, "cpus"];
    const beyond = node.cpus.find((cpu) => cpu >= CPUS_MAX);
    if (beyond !== undefined) {
      yield { path, message: `there can be no CPU ${beyond}: use 0 to ${CPUS_MAX - 1}` };
      continue;
    }
    for (const cpu of node.cpus) {
      const other = owner.get(cpu);
      if (other !== undefined)
        yield {
          path,
          message: `CPU ${cpu} is in node ${other} already: a CPU is in one node`,
        };
      owner.set(cpu, node.id);
    }
  }
  const cpus = Math.max(0, ...owner.keys()) + 1;
  if (cpus * spec.nodes.length > CPU_LISTS_MAX)
    yield {
      path: ["nodes"],
      message: `${spec.nodes.length} nodes and CPU numbers up to ${cpus - 1} are more than hetmem keeps lists for: their product may be ${CPU_LISTS_MAX}`,
    };
  if (owner.size === 0)
    yield { path: ["nodes"], message: "no node has a CPU: give one of them some, such as cpus: 0-3" };
}

function* checkDistances({ nodes, distances }: MachineSpec): Generator<SpecProblem> {
  const path = ["distances"];
  if (distances.length !== nodes.length) {
    yield {
      path,
      message: `${distances.length} rows for ${nodes.length} nodes: give a row for each node, such as [10, 21]`,
    };
    return;
  }
  for (const [from, row] of distances.entries()) {
    if (row.length !== nodes.length)
      yield {
        path: [...path, from],
        message: `${row.length} distances for ${nodes.length} nodes: give one for each node`,
      };
    for (const [to, distance] of row.entries()) {
      const at = [...path, from, to];
      if (from === to && distance !== LOCAL_DISTANCE)
        yield { path: at, message: `a node is ${LOCAL_DISTANCE} from itself, not ${distance}` };
      if (
        from !== to &&
        (!Number.isInteger(distance) || distance <= LOCAL_DISTANCE || distance > DISTANCE_MAX)
      ) {
        yield {
          path: at,
          message: `${distance} can't be a distance between two nodes: use ${LOCAL_DISTANCE + 1} to ${DISTANCE_MAX - 1}, where 20 is twice as far as local`,
        };
      }
    }
  }
}

interface PlacedRange extends MemoryRange {
  readonly path: SpecPath;
  readonly of: string;
}

function* placedMemory(spec: MachineSpec): Generator<PlacedRange> {
  for (const [index, node] of spec.nodes.entries()) {
    for (const { start, end } of node.memory)
      yield { start, end, path: ["nodes", index, "memory"], of: `node ${node.id}` };
  }
  for (const [index, { start, end }] of spec.hidden.entries())
    yield { start, end, path: ["hidden", index], of: "the hidden memory" };
  for (const { start, end } of spec.offline ?? [])
    yield { start, end, path: ["offline"], of: "the offline memory" };
}

function span({ start, end }: MemoryRange): string {
  return `${writeSize(start)}-${writeSize(end)}`;
}
