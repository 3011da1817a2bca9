// Two tables of the firmware. SRAT has the node of each range of physical memory, also where the firmware map has no RAM. SLIT has
// the distances between nodes, also those that are not online. Kernel counterparts: drivers/acpi/numa/srat.c and
// arch/x86/mm/srat.c. Root alone may read them; without them, memory blocks
// show the nodes.
import { type NodeId, nodeId, physAddr } from "@hetmem/kernel";
import type { MemoryRange } from "@hetmem/machine-spec";
import type { HostTree } from "./tree.ts";

export interface MemoryAffinity extends MemoryRange {
  readonly node: NodeId;
  /** The range may be plugged later; there need not be RAM. */
  readonly hotpluggable: boolean;
  readonly nonVolatile: boolean;
}

export interface Affinity {
  readonly memory: readonly MemoryAffinity[];
  /** distances[a][b] by node number; absent without a SLIT. */
  readonly distances: readonly (readonly number[])[] | undefined;
}

/** Reads the tables. Without them, or if they are garbled, there are no ranges and no distances. */
export function readAffinity(tree: HostTree): Affinity {
  const srat = tree.readBytes("/sys/firmware/acpi/tables/SRAT");
  const slit = tree.readBytes("/sys/firmware/acpi/tables/SLIT");
  const domains = srat ? proximityDomains(srat) : [];
  return {
    memory: srat ? memoryAffinity(srat, domains) : [],
    distances: slit && distancesOf(slit, domains),
  };
}

const HEADER_BYTES = 36;
const SRAT_FIRST_ENTRY = 48;
const PROCESSOR = 0;
const MEMORY = 1;
const X2APIC = 2;

interface SratEntry {
  readonly type: number;
  readonly view: DataView;
}

function* sratEntries(table: Uint8Array): Generator<SratEntry> {
  for (let at = SRAT_FIRST_ENTRY; at + 2 <= table.length;) {
    const type = table[at] ?? 0;
    const length = table[at + 1] ?? 0;
    if (length < 16 || at + length > table.length) return;
    yield { type, view: new DataView(table.buffer, table.byteOffset + at, length) };
    at += length;
  }
}

/**
 * Proximity domains in the order in which the kernel numbers them as nodes: those of CPUs first, then those of memory.
 *
 * @see acpi_map_pxm_to_node() in drivers/acpi/numa/srat.c
 */
function proximityDomains(table: Uint8Array): number[] {
  const domains: number[] = [];
  for (const wanted of [[PROCESSOR, X2APIC], [MEMORY]]) {
    for (const { type, view } of sratEntries(table)) {
      const domain = wanted.includes(type) ? enabledDomain(type, view) : undefined;
      if (domain !== undefined && !domains.includes(domain)) domains.push(domain);
    }
  }
  return domains;
}

/** The domain of an entry; undefined if the entry is not enabled. */
function enabledDomain(type: number, view: DataView): number | undefined {
  const flagsAt = type === PROCESSOR ? 4 : type === X2APIC ? 12 : 28;
  if (view.byteLength < flagsAt + 4 || (view.getUint32(flagsAt, true) & 1) === 0) return undefined;
  if (type === PROCESSOR)
    return view.getUint8(2) | (view.getUint8(9) << 8) | (view.getUint16(10, true) << 16);
  return view.getUint32(type === X2APIC ? 4 : 2, true);
}

function memoryAffinity(table: Uint8Array, domains: readonly number[]): MemoryAffinity[] {
  const ranges: MemoryAffinity[] = [];
  for (const { type, view } of sratEntries(table)) {
    const domain = type === MEMORY ? enabledDomain(type, view) : undefined;
    if (domain === undefined) continue;
    const start = wide(view, 8);
    const bytes = wide(view, 16);
    const flags = view.getUint32(28, true);
    if (bytes === 0) continue;
    ranges.push({
      start: physAddr(start),
      end: physAddr(start + bytes),
      node: nodeId(domains.indexOf(domain)),
      hotpluggable: (flags & 2) !== 0,
      nonVolatile: (flags & 4) !== 0,
    });
  }
  return ranges.sort((a, b) => a.start - b.start);
}

function distancesOf(table: Uint8Array, domains: readonly number[]): number[][] | undefined {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  if (table.length < HEADER_BYTES + 8) return undefined;
  const count = wide(view, HEADER_BYTES);
  if (table.length < HEADER_BYTES + 8 + count * count) return undefined;
  // Without an SRAT a domain's number is taken for its node.
  const order = domains.length > 0 ? domains : Array.from({ length: count }, (_, domain) => domain);
  return order.map((from) => order.map((to) => table[HEADER_BYTES + 8 + from * count + to] ?? 0));
}

/** A little-endian 64-bit number; addresses stay below 2^53. */
function wide(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
