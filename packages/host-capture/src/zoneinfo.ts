// /proc/zoneinfo as text: for every node its zones, and with the first populated zone of a node the node's own counters.
// Releases print different counters; spans, free pages and per-cpu counts have had one format since 4.14.
// Kernel counterpart: zoneinfo_show_print() in mm/vmstat.c.
import { KernelError, type NodeId, nodeId, type Pfn, pfn } from "@hetmem/kernel";

/** A zone, in pages. */
export interface HostZone {
  readonly node: NodeId;
  readonly name: string;
  readonly free: number;
  readonly min: number;
  readonly low: number;
  readonly high: number;
  readonly spanned: number;
  readonly present: number;
  readonly managed: number;
  /** Zero for a zone that has no pages: the kernel does not print it then. */
  readonly startPfn: Pfn;
  /** Pages that an allocation for a higher zone must leave free here, by that zone: lowmem_reserve. */
  readonly protection: readonly number[];
  /** Pages on the list of each CPU. */
  readonly pcp: readonly number[];
  /** nr_zone_active_anon and the like. */
  readonly stats: ReadonlyMap<string, number>;
}

export interface Zoneinfo {
  /** In the file's order: by node, then from DMA to Device. */
  readonly zones: readonly HostZone[];
  /** nr_slab_unreclaimable and the like, by node. */
  readonly nodeStats: ReadonlyMap<NodeId, ReadonlyMap<string, number>>;
}

/**
 * Reads /proc/zoneinfo.
 *
 * @param file how the file is called in a sentence
 * @throws KernelError EINVAL that names the line
 */
export function parseZoneinfo(text: string, file = "/proc/zoneinfo"): Zoneinfo {
  const zones: HostZone[] = [];
  const nodeStats = new Map<NodeId, Map<string, number>>();
  let zone: OpenZone | undefined;
  let counters = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `${file}:${index + 1}`;
    const header = /^Node (\d+), zone\s+(\w+)$/.exec(line);
    if (header) {
      if (zone) zones.push(close(zone, file));
      counters = new Map();
      zone = { node: nodeId(Number(header[1])), name: header[2] ?? "", counters, protection: [], pcp: [] };
    } else if (!zone) {
      throw new KernelError(
        "EINVAL",
        `${where}: a line "Node N, zone NAME" must come first: capture the file again`,
      );
    } else if (/^ +per-node stats$/.test(line)) {
      nodeStats.set(zone.node, (counters = new Map()));
    } else if (/^ +pages free +\d+$/.test(line)) {
      // The counters of the node end, and those of the zone begin.
      counters = zone.counters;
      counters.set("free", lastNumber(line));
    } else if (/^ +pagesets$|^ +cpu: \d+$/.test(line)) {
      continue;
    } else if (/^ +protection: \([\d, ]+\)$/.test(line)) {
      zone.protection.push(...(line.match(/\d+/g) ?? []).map(Number));
    } else if (/^ +count: +\d+$/.test(line)) {
      zone.pcp.push(lastNumber(line));
    } else {
      const counter = /^ +([a-z_][\w. -]*?):? +-?\d+$/i.exec(line);
      if (!counter)
        throw new KernelError(
          "EINVAL",
          `${where}: "${line.trim().slice(0, 60)}" is not a line of zoneinfo: capture the file again`,
        );
      const name = counter[1] ?? "";
      // Per-cpu lists print a "high:" and a "low:" of their own behind those of the zone: the first one counts.
      if (!counters.has(name)) counters.set(name, lastNumber(line));
    }
  }
  if (!zone) throw new KernelError("EINVAL", `${file} is empty: capture the file again`);
  zones.push(close(zone, file));
  return { zones, nodeStats };
}

/** Pages from the zone's first to its last. */
export function zoneEnd(zone: HostZone): Pfn {
  return pfn(zone.startPfn + zone.spanned);
}

interface OpenZone {
  readonly node: NodeId;
  readonly name: string;
  readonly counters: Map<string, number>;
  readonly protection: number[];
  readonly pcp: number[];
}

function close({ node, name, counters, protection, pcp }: OpenZone, file: string): HostZone {
  const need = (counter: string): number => {
    const value = counters.get(counter);
    if (value !== undefined) return value;
    throw new KernelError(
      "EINVAL",
      `${file}: zone ${name} of node ${node} has no "${counter}" line, so the file is cut short: capture it again`,
    );
  };
  const spanned = need("spanned");
  const present = need("present");
  return {
    node,
    name,
    free: need("free"),
    min: need("min"),
    low: need("low"),
    high: need("high"),
    spanned,
    present,
    managed: need("managed"),
    startPfn: pfn(present > 0 ? need("start_pfn") : (counters.get("start_pfn") ?? 0)),
    protection,
    pcp,
    stats: counters,
  };
}

function lastNumber(line: string): number {
  return Number(line.slice(line.lastIndexOf(" ") + 1));
}
