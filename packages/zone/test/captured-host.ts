// The two hosts whose /proc was captured, as boot configurations: the same firmware map, and what was measured of their
// zones. What a running system had in use is not booted but put into the counters, so that texts can be compared whole.
import { readFileSync } from "node:fs";
import { createKernel, nodeId, physAddr } from "@hetmem/kernel";
import {
  allZones,
  type BootConfig,
  bootMemory,
  type BootZone,
  type Memory,
  NODE_STATS,
  NodeStat,
  type NodeStatName,
  NUMA_STATS,
  NumaStat,
  type NumaStatName,
  VM_EVENTS,
  ZONE_STATS,
  ZoneStat,
  type ZoneName,
  type ZoneStatName,
} from "../src/index.ts";

export type HostName = "hidden-ram" | "baseline";

/** Pages that were freed after the watermarks were set, by node, from dmesg. */
const FREED_LATE: Readonly<Record<HostName, readonly [node0: number, node1: number]>> = {
  // initmem 1144K, two gaps of the kernel image 2040K and 1696K, SMP alternatives 28K; the initrd, 7828K, lies in node 1.
  "hidden-ram": [(1144 + 2040 + 1696 + 28) / 4, 7828 / 4],
  // Here the kernel was put in node 1, too.
  baseline: [0, (1144 + 2040 + 1696 + 28 + 7828) / 4],
};
const KERNEL_IMAGE: Readonly<Record<HostName, readonly (readonly [start: number, end: number])[]>> = {
  "hidden-ram": [
    [0x0100_0000, 0x01a0_1128],
    [0x01c0_0000, 0x01e5_8000],
    [0x0200_0000, 0x021d_8140],
    [0x0231_4000, 0x0260_0000],
  ],
  baseline: [
    [0x73e0_0000, 0x7480_1128],
    [0x74a0_0000, 0x74c5_8000],
    [0x74e0_0000, 0x74fd_8140],
    [0x7511_4000, 0x7540_0000],
  ],
};

export function fixture(host: HostName, name: string): string {
  return readFileSync(new URL(`../fixtures/${host}/${name}.txt`, import.meta.url), "utf8");
}

export function hostConfig(host: HostName): BootConfig {
  return {
    nodes: [
      {
        id: nodeId(0),
        cpus: [0],
        memory: [
          { start: physAddr(0x1000), end: physAddr(0x9_fc00) },
          { start: physAddr(0x10_0000), end: physAddr(0x4000_0000) },
        ],
      },
      { id: nodeId(1), cpus: [1], memory: [{ start: physAddr(0x4000_0000), end: physAddr(0x7ffd_e000) }] },
      { id: nodeId(2), cpus: [], memory: [] },
    ],
    distances: [
      [10, 21, 40],
      [21, 10, 40],
      [40, 40, 10],
    ],
    physicalBits: 40,
    maxPages: 2 ** 21,
    reserved: KERNEL_IMAGE[host].map(([start, end]) => ({ start: physAddr(start), end: physAddr(end) })),
    zones: parseZoneinfo(fixture(host, "zoneinfo"))
      .filter(({ values }) => values.get("present") !== 0)
      .map(({ node, name, values }): BootZone => ({
        node: nodeId(node),
        zone: name,
        reservedPages: (values.get("present") ?? 0) - (values.get("managed") ?? 0),
        freedLatePages: name === "DMA32" ? (FREED_LATE[host][node] ?? 0) : 0,
      })),
  };
}

export function bootHost(host: HostName): Memory {
  return bootMemory(createKernel(), hostConfig(host));
}

export interface CapturedZone {
  readonly node: number;
  readonly name: ZoneName;
  /** Every line that is a name and a number; of those that come once a cpu, the first. */
  readonly values: ReadonlyMap<string, number>;
  readonly nodeValues: ReadonlyMap<string, number>;
  readonly pcpCounts: readonly number[];
  readonly protection: readonly number[];
}

export function parseZoneinfo(text: string): CapturedZone[] {
  return text
    .split(/^(?=Node)/m)
    .filter(Boolean)
    .map((section) => {
      const header = /^Node (\d+), zone +(\w+)/.exec(section);
      const [nodePart, zonePart] = section.includes("per-node stats")
        ? section.split(/^(?= {2}pages free)/m)
        : ["", section];
      return {
        node: Number(header?.[1]),
        name: header?.[2] as ZoneName,
        values: numbers(zonePart ?? ""),
        nodeValues: numbers(nodePart ?? ""),
        pcpCounts: [...section.matchAll(/count: (\d+)/g)].map((match) => Number(match[1])),
        protection: (/protection: \((.*)\)/.exec(section)?.[1] ?? "").split(", ").map(Number),
      };
    });
}

function numbers(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const [, name = "", value] of text.matchAll(/^ +([a-z_][a-z_ ]*?):? +(\d+)$/gm)) {
    if (!values.has(name)) values.set(name, Number(value));
  }
  return values;
}

/** Puts the counters of a captured /proc/zoneinfo into the machine. */
export function loadZoneinfo(memory: Memory, text: string): void {
  for (const { node: id, name, values, nodeValues, pcpCounts } of parseZoneinfo(text)) {
    const node = memory.nodes[id];
    const zone = node?.zones.find((candidate) => candidate.name === name);
    if (!node || !zone) throw new Error(`no zone ${name} of node ${id}`);
    for (const item of ZONE_STATS) zone.stat[ZoneStat[item]] = values.get(item) ?? 0;
    for (const item of NUMA_STATS) zone.numaStat[NumaStat[item]] = values.get(item) ?? 0;
    if (nodeValues.size > 0)
      for (const item of NODE_STATS) node.stat[NodeStat[item]] = nodeValues.get(item) ?? 0;
    for (const [cpu, count] of pcpCounts.entries()) {
      const pcp = zone.pcp[cpu];
      if (pcp) pcp.count = count;
    }
  }
}

/** Puts the counters of a captured vmstat file into one zone and one node, of which the file shows the sums. */
export function loadVmstat(
  memory: Memory,
  text: string,
  into: { readonly node: number; readonly zone: ZoneName },
): void {
  const node = memory.nodes[into.node];
  const zone = node?.zones.find((candidate) => candidate.name === into.zone);
  if (!node || !zone) throw new Error(`no zone ${into.zone} of node ${into.node}`);
  for (const other of allZones(memory)) {
    other.stat.fill(0);
    other.numaStat.fill(0);
  }
  for (const [, name = "", value] of text.matchAll(/^(\w+) (\d+)$/gm)) {
    const count = Number(value);
    if (ZONE_STATS.includes(name as ZoneStatName)) zone.stat[ZoneStat[name as ZoneStatName]] = count;
    else if (NUMA_STATS.includes(name as NumaStatName)) zone.numaStat[NumaStat[name as NumaStatName]] = count;
    else if (NODE_STATS.includes(name as NodeStatName)) node.stat[NodeStat[name as NodeStatName]] = count;
    else if ((VM_EVENTS as readonly string[]).includes(name)) {
      // Sectors are shown as kilobytes.
      memory.allocator.events[(VM_EVENTS as readonly string[]).indexOf(name)] = /^pgpg(in|out)$/.test(name)
        ? count * 2
        : count;
    }
  }
}

const MEMINFO_STATS: readonly (readonly [label: string, stat: NodeStatName])[] = [
  ["Inactive(anon)", "nr_inactive_anon"],
  ["Active(anon)", "nr_active_anon"],
  ["SReclaimable", "nr_slab_reclaimable"],
  ["SUnreclaim", "nr_slab_unreclaimable"],
  ["AnonPages", "nr_anon_pages"],
  ["Mapped", "nr_mapped"],
  ["Cached", "nr_file_pages"],
  ["FilePages", "nr_file_pages"],
  ["Shmem", "nr_shmem"],
  ["PageTables", "nr_page_table_pages"],
];

/** Puts the counters of a captured meminfo file into one zone and its node. What isn't in it was 0 there. */
export function loadMeminfo(
  memory: Memory,
  text: string,
  into: { readonly node: number; readonly zone: ZoneName },
): void {
  const node = memory.nodes[into.node];
  const zone = node?.zones.find((candidate) => candidate.name === into.zone);
  if (!node || !zone) throw new Error(`no zone ${into.zone} of node ${into.node}`);
  const values = new Map(
    [...text.matchAll(/([\w()]+): +(\d+) kB$/gm)].map(([, label = "", value]) => [label, Number(value)]),
  );
  for (const other of allZones(memory)) other.stat.fill(0);
  zone.stat[ZoneStat.nr_free_pages] = (values.get("MemFree") ?? 0) / 4;
  node.stat[NodeStat.nr_kernel_stack] = values.get("KernelStack") ?? 0;
  for (const [label, stat] of MEMINFO_STATS) {
    const kilobytes = values.get(label);
    if (kilobytes !== undefined) node.stat[NodeStat[stat]] = kilobytes / 4;
  }
}
