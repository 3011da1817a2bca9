// A machine in a YAML file. The form is for people: sizes with suffixes, memory laid out by itself, a default for all that
// can have one; and each complaint names file, line, place, what was there and what to write instead.
import {
  GiB,
  isAligned,
  KernelBug,
  KernelError,
  MiB,
  type NodeId,
  nodeId,
  PAGE_SIZE,
  physAddr,
  writeSize,
} from "@hetmem/kernel";
import { Composer, type CST, type Document, isMap, isSeq, Lexer, LineCounter, type Node, Parser } from "yaml";
import { bootUsageOf } from "./boot-reserve.ts";
import { deviceProblems } from "./devices.ts";
import { gpuProblems, gpusOf, placedGpus } from "./gpus.ts";
import { nvdimmOfDevices, nvdimmProblems } from "./nvdimm.ts";
import { defaultPciHole, layoutIomem, type MemoryWish, placeMemory, usableRam } from "./layout.ts";
import { checkBlockSize, checkLimits, NODES_MAX } from "./limits.ts";
import type {
  HiddenMemory,
  IomemEntry,
  KernelOptions,
  MachineSpec,
  MemoryRange,
  NodeSpec,
  ProfileName,
  SwapArea,
} from "./machine-spec.ts";
import { refuseProblems, type SpecPath, type SpecProblem } from "./problem.ts";
import { type MachineFile, type RangeWish, readMachineFile } from "./yaml-schema.ts";

const DEFAULT_BLOCK_SIZE = 128 * MiB;
const LARGE_BLOCK_SIZE = 2 * GiB;
const LARGE_BLOCKS_FROM = 64 * GiB;
const DEFAULT_PHYSICAL_BITS = 46;
const DEFAULT_PROFILE: ProfileName = "v5.1";
const LOCAL_DISTANCE = 10;
const REMOTE_DISTANCE = 20;
/** Pieces of memory of all nodes. @see E820_MAX_ENTRIES in arch/x86/include/asm/e820/types.h: 128, and three a node */
const PIECES_MAX = 128 + 3 * NODES_MAX;
/** Groups that stand in one another. */
const DEPTH_MAX = 32;
/** Words, marks and spaces of a file: one with the distances of 128 nodes has 55,000, and 100,000 take the library a second. */
const LEXEMES_MAX = 100_000;
/** Names of one group: the library compares each with each. */
const NAMES_MAX = 1000;
const LEAST_SWAP_BYTES = 10 * PAGE_SIZE;

/**
 * Makes a machine of a YAML text.
 *
 * @param file its path, for the sentences
 * @param profile wins over the file's own
 * @throws KernelError EINVAL with a line for each thing that is wrong
 */
export function machineOfYaml(text: string, file: string, profile?: ProfileName): MachineSpec {
  const lines = new LineCounter();
  const document = parseYaml(text, file, lines);
  const lineAt = (offset: number | undefined): number =>
    offset === undefined ? 1 : Math.max(1, lines.linePos(offset).line);
  const [syntax] = document.errors;
  if (syntax)
    throw new KernelError("EINVAL", `${file}:${lineAt(syntax.pos[0])}: not YAML: ${syntax.message}`);
  const where = (path: SpecPath): string => `${file}:${lineAt(offsetOf(document.contents, path))}: `;
  const read = readValue(document, file);
  if ("problems" in read) {
    refuseProblems(read.problems, where);
    throw new KernelError("EINVAL", `${file} is not a machine`);
  }
  const { file: machine } = read;
  refuseProblems(
    [...checkBlockSize({ blockSize: machine.block_size ?? DEFAULT_BLOCK_SIZE }), ...checkPieces(machine)],
    where,
  );
  const { spec, problems } = specOf(machine, nameOfFile(file), profile);
  refuseProblems(problems.length > 0 ? problems : checkLimits(spec), where);
  return { ...spec, bootUsage: bootUsage(spec, where(["nodes"])) };
}

/** "laptop" for "machines/laptop.yaml". */
function nameOfFile(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1).replace(/\.ya?ml$/, "");
}

/** @throws KernelError EINVAL, with the place in the file, for nodes that can't hold the struct pages of all memory */
function bootUsage({ nodes, options }: MachineSpec, where: string): MachineSpec["bootUsage"] {
  try {
    return bootUsageOf(nodes, options);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError("EINVAL", `${where}${error.reason}`);
    throw error;
  }
}

/**
 * Parses a text of bounded cost: the library takes its time for each word, compares the names of a group with one another, and
 * composes by recursion, where V8 ends the process when a regular expression is compiled without stack left.
 *
 * @throws KernelError EINVAL for a text that is too much
 */
function parseYaml(text: string, file: string, lines: LineCounter): Document.Parsed {
  const tokens: CST.Token[] = [];
  for (const token of tokensOf(text, file, lines)) {
    refuseShape(token, file);
    tokens.push(token);
  }
  const [document, second] = new Composer({ logLevel: "error" }).compose(tokens, true, text.length);
  if (document === undefined) throw new KernelBug(`${file} composes to nothing`);
  if (second)
    throw new KernelError(
      "EINVAL",
      `${file}:${lines.linePos(second.range[0]).line}: a second machine begins here: a file has one`,
    );
  return document;
}

function* tokensOf(text: string, file: string, lines: LineCounter): Generator<CST.Token> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > LEXEMES_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: more than ${LEXEMES_MAX} words and marks are too many for a machine: leave out what isn't needed`,
      );
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

function refuseShape(document: CST.Token, file: string): void {
  const open = [{ token: document, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > DEPTH_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: more than ${DEPTH_MAX} groups stand in one another: a machine has five levels`,
      );
    const names = isGroup(token) ? token.items.length : 0;
    if (names > NAMES_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: ${names} names in one group are too many: write at most ${NAMES_MAX}`,
      );
    const inside =
      "items" in token
        ? token.items.flatMap((item) => ("key" in item ? [item.key, item.value] : [item.value]))
        : "value" in token
          ? [token.value]
          : [];
    for (const each of inside) if (each) open.push({ token: each, depth: depth + 1 });
  }
}

function isGroup(token: CST.Token): token is CST.BlockMap | CST.FlowCollection {
  return token.type === "block-map" || (token.type === "flow-collection" && token.start.source === "{");
}

/** @throws KernelError EINVAL for aliases of nothing, and for those that unfold to more than a machine holds */
function readValue(document: Document.Parsed, file: string): ReturnType<typeof readMachineFile> {
  try {
    return readMachineFile(document.toJS());
  } catch (error) {
    if (error instanceof ReferenceError)
      throw new KernelError(
        "EINVAL",
        `${file}: its aliases (*NAME) can't be followed: ${error.message}: write out what they stand for`,
      );
    throw error;
  }
}

/** Where a value begins; for a key that isn't there, where the group begins that lacks it. */
function offsetOf(contents: Node | null, path: SpecPath): number | undefined {
  let at: unknown = contents;
  let offset = contents?.range?.[0];
  for (const key of path) {
    if (isMap(at)) {
      const pair = at.items.find((item) => String(item.key) === String(key));
      if (!pair) return offset;
      offset = (pair.key as Node | null)?.range?.[0] ?? offset;
      at = pair.value;
    } else if (isSeq(at)) {
      at = at.items[Number(key)];
      offset = (at as Node | undefined)?.range?.[0] ?? offset;
    }
  }
  return offset;
}

function specOf(
  file: MachineFile,
  name: string,
  profile: ProfileName | undefined,
): { spec: MachineSpec; problems: SpecProblem[] } {
  const problems: SpecProblem[] = [];
  const blockSize = file.block_size ?? defaultBlockSize(file);
  const hole = pciHole(file, blockSize, problems);
  const nodes = nodesOf(file, hole, problems);
  problems.push(...movableNodeProblems(file, nodes));
  const hidden = (file.hidden ?? []).map((range, index) =>
    hiddenRange(range, index, nodes, blockSize, problems),
  );
  const devices = (file.devices ?? []).map((device, index) => deviceLine(device, index, problems));
  const gpus = gpusOf(file);
  const physicalBits = file.physical_bits ?? DEFAULT_PHYSICAL_BITS;
  const ram = nodes.flatMap((node) => node.memory);
  problems.push(...holeProblems(ram, hole));
  const lines = [
    ...devices.map((entry, index) => ({ entry, path: ["devices", index] })),
    ...placedGpus(gpus),
  ];
  problems.push(...deviceProblems(lines, layoutIomem(ram, hole, []), physicalBits));
  const options = optionsOf(file);
  const distances =
    file.distances ?? nodes.map((a) => nodes.map((b) => (a === b ? LOCAL_DISTANCE : REMOTE_DISTANCE)));
  problems.push(...swapProblems(file), ...nvdimmProblems(file, nodes), ...gpuProblems(file, nodes));
  const affinity = devices.flatMap(({ start, end }, index) => {
    const node = file.devices?.[index]?.node;
    return node === undefined ? [] : [{ start, end: physAddr(end + 1), node: nodeId(node) }];
  });
  const nvdimm = nvdimmOfDevices(file, devices, { affinity, nodes, distances });
  const spec: MachineSpec = {
    name: file.name ?? name,
    profile: profile ?? file.profile ?? DEFAULT_PROFILE,
    iomem: layoutIomem(
      ram,
      hole,
      lines.map(({ entry }) => entry),
    ),
    nodes,
    distances,
    blockSize,
    physicalBits,
    ...(file.direct_map_bits !== undefined && { directMapBits: file.direct_map_bits }),
    ...(file.max_memory !== undefined && { maxMemory: file.max_memory }),
    bootUsage: [],
    hidden,
    options,
    ...(affinity.length > 0 && { affinity }),
    ...(nvdimm && { nvdimm }),
    ...(gpus.length > 0 && { gpus }),
    ...(file.rules && { rules: file.rules }),
    ...(file.swap && { swap: file.swap.map(swapArea) }),
    ...(file.sysctl && { sysctl: file.sysctl }),
    ...(file.cgroup && { cgroup: file.cgroup }),
    release: file.release ?? `${(profile ?? file.profile ?? DEFAULT_PROFILE).slice(1)}.0-hetmem`,
  };
  return { spec, problems };
}

/** The nodes of a file, their memory laid out around the hole below 4 GiB. */
function nodesOf(file: MachineFile, hole: MemoryRange | undefined, problems: SpecProblem[]): NodeSpec[] {
  const placed = placeMemory(
    file.nodes.map((_, index) => wishes(file, index, problems)),
    hole,
  );
  const nodes: NodeSpec[] = file.nodes.map((node, index) => ({
    id: nodeId(node.id ?? index),
    memory: (placed[index] ?? [])
      .flatMap(usableRam)
      .sort((x, y) => x.start - y.start)
      .map((range) => (node.hotpluggable ? { ...range, hotpluggable: true } : range)),
    cpus: node.cpus ?? [],
  }));
  if (nodes.some((node, index) => index > 0 && node.id <= (nodes[index - 1]?.id ?? 0))) {
    problems.push({
      path: ["nodes"],
      message: "the ids of nodes must rise; order them, or leave the ids out",
    });
  }
  return nodes;
}

function* checkPieces({ nodes }: MachineFile): Generator<SpecProblem> {
  const pieces = nodes.reduce((sum, { memory }) => sum + (Array.isArray(memory) ? memory.length : 1), 0);
  if (pieces > PIECES_MAX)
    yield {
      path: ["nodes"],
      message: `${pieces} pieces of memory are more than the kernel's map of them holds: write at most ${PIECES_MAX}`,
    };
}

/** What movable_node can't do, and what it makes void. @see numa_clear_kernel_node_hotplug() in arch/x86/mm/numa.c */
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
 * x86 has blocks of 2 GiB where the memory ends at 64 GiB or above. Here everything must lie on their borders, too: a small
 * piece of memory is worth more to people than large blocks.
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

/** RAM may begin and end on any page: the memory block around such an end is there in part, and can't go offline. */
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

/** The options that are set: an absent one must stay absent, for it means the kernel's default. */
function optionsOf({ options = {} }: MachineFile): KernelOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
