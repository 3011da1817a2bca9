// The contents of a report as plain data. They are read from the files of the booted machine, as a program on it would read them.
import { type NodeId, PAGE_SIZE } from "@hetmem/kernel";
import { MEMMAP_PAGE_BYTES, PAGES_PER_SECTION, SECTION_SIZE, STRUCT_PAGE_BYTES } from "@hetmem/page";
import { blockRange, type Host, systemRam } from "@hetmem/host-capture";
import type { IomemEntry, MachineSpec, MemoryRange } from "@hetmem/machine-spec";

export interface ZoneView {
  readonly node: NodeId;
  readonly name: string;
  /** Bytes; the end is the first byte behind the zone. */
  readonly start: number;
  readonly end: number;
  readonly spanned: number;
  readonly present: number;
  readonly managed: number;
  readonly free: number;
}

export interface BlockView extends MemoryRange {
  readonly id: number;
  readonly state: string;
}

/** A range of the physical address space that is drawn. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  /** The lane of the picture: "node 0", "devices". */
  readonly lane: string;
  readonly kind: StretchKind;
}

export type StretchKind =
  | "DMA"
  | "DMA32"
  | "Normal"
  | "Movable"
  | "offline"
  | "hidden"
  | "pmem"
  | "reserved"
  | "gpu"
  | "firmware"
  | "device"
  | "online";

export interface MemmapPrice {
  readonly node: NodeId;
  /** Struct pages, with those of holes inside a section. */
  readonly structPages: number;
  readonly linuxBytes: number;
  readonly hetmemBytes: number;
  /** Share of the node's RAM. */
  readonly share: number;
}

/** Struct pages in the RAM of another node than the memory that they describe. */
export interface MemmapElsewhere {
  /** The memory that they describe: "node 1", "the soft-reserved memory at 0x10_0000_0000". */
  readonly of: string;
  /** The node whose RAM holds them. */
  readonly payer: number;
  readonly bytes: number;
}

export interface MachineView {
  readonly name: string;
  readonly release: string;
  readonly profile: string;
  readonly blockSize: number;
  readonly ramBytes: number;
  readonly nodes: readonly {
    readonly id: NodeId;
    readonly cpus: readonly number[];
    readonly ramBytes: number;
  }[];
  /** Zones that span something. */
  readonly zones: readonly ZoneView[];
  readonly blocks: readonly BlockView[];
  readonly stretches: readonly Stretch[];
  readonly memmap: readonly MemmapPrice[];
  /** Struct pages of device memory, and of nodes whose struct pages are in another node's RAM. */
  readonly memmapElsewhere: readonly MemmapElsewhere[];
  /** Whether added blocks hold their own struct pages: memmap_on_memory. */
  readonly selfHosted: boolean;
  /** The state of memory blocks after they are added: "offline", "online_movable". */
  readonly autoOnline: string;
  /** Names of gpus. */
  readonly gpus: readonly string[];
  readonly memTotalKb: number;
  readonly memFreeKb: number;
}

/**
 * Makes the view of a machine.
 *
 * @param running the booted machine, read from its own files
 */
export function viewOf(spec: MachineSpec, running: Host): MachineView {
  const zones = running.zoneinfo.zones.filter((zone) => zone.spanned > 0);
  const zoneViews = zones.map((zone) => ({
    node: zone.node,
    name: zone.name,
    start: zone.startPfn * PAGE_SIZE,
    end: (zone.startPfn + zone.spanned) * PAGE_SIZE,
    spanned: zone.spanned,
    present: zone.present,
    managed: zone.managed,
    free: zone.free,
  }));
  const nodes = spec.nodes.map(({ id, cpus, memory }) => ({ id, cpus, ramBytes: bytesOf(memory) }));
  const blocks = (running.blocks?.blocks ?? []).map(({ id, state }) => ({
    id,
    state,
    ...blockRange(id, spec.blockSize),
  }));
  return {
    name: spec.name,
    release: spec.release,
    profile: spec.profile,
    blockSize: spec.blockSize,
    ramBytes: bytesOf(systemRam(running.iomem)),
    nodes,
    zones: zoneViews,
    blocks,
    stretches: [...stretchesOf(spec, running, zoneViews)],
    memmap: spec.nodes.filter((node) => node.memory.length > 0).map(({ id, memory }) => priceOf(id, memory)),
    memmapElsewhere: [],
    selfHosted: spec.options.memmap_on_memory === true,
    autoOnline: spec.options.memhp_default_state ?? "offline",
    gpus: (spec.gpus ?? []).map(({ name }) => name),
    memTotalKb: running.meminfo.get("MemTotal") ?? 0,
    memFreeKb: running.meminfo.get("MemFree") ?? 0,
  };
}

function* stretchesOf(spec: MachineSpec, running: Host, zones: readonly ZoneView[]): Generator<Stretch> {
  for (const { id, memory } of spec.nodes) {
    for (const ram of memory) {
      for (const zone of zones.filter(({ node, present }) => node === id && present > 0)) {
        const start = Math.max(ram.start, zone.start);
        const end = Math.min(ram.end, zone.end);
        if (start < end) yield { start, end, lane: `node ${id}`, kind: kindOfZone(zone.name) };
      }
    }
  }
  yield* addedMemory(spec, running);
  for (const { start, end, node } of spec.offline ?? [])
    yield { start, end, lane: node === undefined ? "offline" : `node ${node}`, kind: "offline" };
  for (const { start, end } of spec.hidden) yield { start, end, lane: "hidden", kind: "hidden" };
  for (const block of running.blocks?.blocks ?? []) {
    yield {
      ...blockRange(block.id, spec.blockSize),
      lane: "blocks",
      kind: block.state === "online" ? "online" : "offline",
    };
  }
  const gpus = new Set((spec.gpus ?? []).map(({ name }) => name));
  for (const entry of running.iomem) yield* deviceStretches(entry, gpus);
}

/** Memory blocks that were added after boot, by hand or by kmem. */
function* addedMemory(spec: MachineSpec, running: Host): Generator<Stretch> {
  const boot = [...spec.nodes.flatMap(({ memory }) => memory), ...(spec.offline ?? [])];
  for (const block of running.blocks?.blocks ?? []) {
    const range = blockRange(block.id, spec.blockSize);
    if (boot.some(({ start, end }) => start < range.end && range.start < end)) continue;
    const node = running.nodes?.online.find(({ blocks }) => blocks.includes(block.id));
    const [zone = ""] = block.zones;
    yield {
      ...range,
      lane: node ? `node ${node.id}` : "offline",
      kind: block.state === "online" ? kindOfZone(zone) : "offline",
    };
  }
}

/**
 * A line of /proc/iomem that isn't RAM, and the lines in it. Lines in the memory of a device are not drawn: it is one stretch.
 *
 * @param gpus names of gpus
 */
function* deviceStretches(
  { start, end, name, children }: IomemEntry,
  gpus: ReadonlySet<string>,
): Generator<Stretch> {
  if (/^(System RAM|Kernel |Crash kernel)/.test(name)) {
    for (const child of children) yield* deviceStretches(child, gpus);
    return;
  }
  const kind = kindOfDevice(name, gpus);
  yield { start, end: end + 1, lane: LANES[kind], kind };
  if (kind === "device" || kind === "firmware")
    for (const child of children) yield* deviceStretches(child, gpus);
}

type DeviceKind = keyof typeof LANES;

const LANES = {
  pmem: "pmem",
  reserved: "reserved",
  gpu: "gpus",
  firmware: "firmware",
  device: "devices",
} as const satisfies Partial<Record<StretchKind, string>>;

function kindOfDevice(name: string, gpus: ReadonlySet<string>): DeviceKind {
  if (gpus.has(name)) return "gpu";
  if (name.startsWith("Persistent Memory")) return "pmem";
  if (/^(Soft Reserved|hmem\.\d+$|dax\d+\.\d+$)/.test(name)) return "reserved";
  return /^(Reserved|ACPI|RAM buffer)|ROM$/.test(name) ? "firmware" : "device";
}

function kindOfZone(name: string): StretchKind {
  return name === "DMA" || name === "DMA32" || name === "Movable" ? name : "Normal";
}

/** The struct pages of a node. They are allocated by the whole section. */
function priceOf(node: NodeId, memory: readonly MemoryRange[]): MemmapPrice {
  const sections = new Set<number>();
  for (const { start, end } of memory) {
    for (let section = Math.floor(start / SECTION_SIZE); section * SECTION_SIZE < end; section++)
      sections.add(section);
  }
  const structPages = sections.size * PAGES_PER_SECTION;
  return {
    node,
    structPages,
    linuxBytes: structPages * STRUCT_PAGE_BYTES,
    hetmemBytes: structPages * MEMMAP_PAGE_BYTES,
    share: (structPages * STRUCT_PAGE_BYTES) / bytesOf(memory),
  };
}

function bytesOf(ranges: readonly MemoryRange[]): number {
  return ranges.reduce((bytes, range) => bytes + range.end - range.start, 0);
}
