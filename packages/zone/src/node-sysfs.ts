// /sys/devices/system/node: the nodes, and the memory and CPUs of each. Kernel counterpart: drivers/base/node.c.
import { formatIdList, KernelError, kstrtoull, type NodeId } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "@hetmem/vfs";
import { type BuildOptions, everyOption } from "./build-options.ts";
import { devicePowerFiles } from "./device-power.ts";
import { type HugePages, noHugePages } from "./huge-pages.ts";
import { nodeMeminfoText } from "./meminfo.ts";
import { type Memory, onlineCpus, onlineNodes } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import { NUMA_STATS, type NumaStatName } from "./vmstat.ts";
import { nodeVmstatText } from "./vmstat-text.ts";
import { ZoneType } from "./zone-type.ts";

/** Port: the memory blocks of each node. */
export interface BlockLinks {
  blocksOfNode(node: NodeId): Iterable<number>;
  isBlockOfNode(block: number, node: NodeId): boolean;
}

/** Names in the numastat file of the counters that have other names in /proc/vmstat. */
const NUMASTAT_NAMES: Readonly<Partial<Record<NumaStatName, string>>> = {
  numa_interleave: "interleave_hit",
  numa_local: "local_node",
  numa_other: "other_node",
};
/** Huge page sizes of x86-64 in KiB. The larger can be demoted to the smaller. */
const HUGE_PAGE_SIZES = ["2048", "1048576"] as const;

export function nodeSysfs(
  memory: Memory,
  blocks: BlockLinks,
  hugePages: HugePages = noHugePages,
  built: BuildOptions = everyOption,
): AttributeTable[] {
  const nodeOf = ({ node }: Params): MemoryNode => onlineNode(memory, Number(node));
  return [
    {
      root: "/sys/devices/system/node",
      instances: {
        node: () => onlineNodes(memory).map(({ id }) => `${id}`),
        cpu: (params) => nodeOf(params).cpus.map(String),
        block: (params) => Array.from(blocks.blocksOfNode(nodeOf(params).id), String),
        hugepages: (params) =>
          built.has("HUGETLB_PAGE") && nodeOf(params).presentPages > 0 ? ["hugepages"] : [],
        size: () => HUGE_PAGE_SIZES,
        demotable: () => HUGE_PAGE_SIZES.slice(1),
      },
      exists: {
        block: (block, params) =>
          blocks.isBlockOfNode(Number(block), nodeOf(params).id) && `${Number(block)}` === block,
      },
      links: {
        "node{node}/cpu{cpu}": ({ cpu }) => `../../cpu/cpu${cpu}`,
        "node{node}/memory{block}": ({ block }) => `../../memory/memory${block}`,
        "node{node}/subsystem": () => "../../../../bus/node",
      },
      files: {
        ...nodeStateFiles(memory),
        ...devicePowerFiles(""),
        ...devicePowerFiles("node{node}/"),
        "node{node}/compact": { store: () => {} },
        "node{node}/cpulist": { show: (params) => `${formatIdList(nodeOf(params).cpus)}\n` },
        "node{node}/cpumap": { show: (params) => `${cpuMask(memory, nodeOf(params).cpus)}\n` },
        "node{node}/distance": {
          show: (params) =>
            `${onlineNodes(memory)
              .map(({ id }) => memory.distance(nodeOf(params).id, id))
              .join(" ")}\n`,
        },
        "node{node}/meminfo": { show: (params) => nodeMeminfoText(nodeOf(params), hugePages, built) },
        "node{node}/numastat": { show: (params) => numastatText(nodeOf(params)) },
        "node{node}/uevent": { show: () => "", store: () => {} },
        "node{node}/vmstat": { show: (params) => nodeVmstatText(nodeOf(params), built) },
        ...hugePageFiles(hugePages, nodeOf),
      },
    },
  ];
}

/**
 * The files with lists of nodes: online, possible, has_memory and others.
 *
 * @see node_state_attr in drivers/base/node.c
 */
function nodeStateFiles(memory: Memory): Record<string, Attribute> {
  const possible = (): MemoryNode[] => memory.nodes.filter((node) => node !== undefined);
  return {
    has_cpu: { show: () => nodeList(possible().filter(({ cpus }) => cpus.length > 0)) },
    has_generic_initiator: { show: () => nodeList([]) },
    has_memory: { show: () => nodeList(possible().filter(({ presentPages }) => presentPages > 0)) },
    has_normal_memory: { show: () => nodeList(possible().filter(hasNormalMemory)) },
    online: { show: () => nodeList(onlineNodes(memory)) },
    possible: { show: () => nodeList(possible()) },
    uevent: { show: () => "", store: () => {} },
  };
}

function nodeList(nodes: readonly MemoryNode[]): string {
  return `${formatIdList(nodes.map(({ id }) => id))}\n`;
}

/** Whether the node has memory in ZONE_NORMAL or below. @see N_NORMAL_MEMORY */
function hasNormalMemory({ zones }: MemoryNode): boolean {
  return zones.some((zone) => zone.type <= ZoneType.Normal && zone.populated);
}

/** @see node_read_numastat() */
function numastatText({ zones }: MemoryNode): string {
  return NUMA_STATS.map((name, item) => {
    const value = zones.reduce((sum, zone) => sum + (zone.numaStat[item] ?? 0), 0);
    return `${NUMASTAT_NAMES[name] ?? name} ${value}\n`;
  }).join("");
}

/** The CPUs as a bit mask, in hexadecimal groups of 32 bits, the highest first. @see bitmap_print_to_pagebuf() */
function cpuMask(memory: Memory, cpus: readonly number[]): string {
  const possible = Math.max(0, ...onlineCpus(memory)) + 1;
  const groups: string[] = [];
  for (let first = 0; first < possible; first += 32) {
    const bits = cpus
      .filter((cpu) => cpu >= first && cpu < first + 32)
      .reduce((sum, cpu) => sum + 2 ** (cpu - first), 0);
    groups.unshift(bits.toString(16).padStart(Math.ceil(Math.min(32, possible - first) / 4), "0"));
  }
  return groups.join(",");
}

/**
 * The files of a node's hugetlb pools. The pool of 1 GiB pages is not modelled and stays empty.
 *
 * @see hugetlb_register_node() in mm/hugetlb.c
 */
function hugePageFiles(
  hugePages: HugePages,
  nodeOf: (params: Params) => MemoryNode,
): Record<string, Attribute> {
  const directory = "node{node}/{hugepages}/hugepages-{size}kB";
  const demotable = "node{node}/{hugepages}/hugepages-{demotable}kB";
  const poolOf = ({ size }: Params): HugePages => (size === HUGE_PAGE_SIZES[0] ? hugePages : noHugePages);
  const count = (name: "total" | "free" | "surplus"): Attribute => ({
    show: (params) => `${poolOf(params).nodeCounts(nodeOf(params).id)[name]}\n`,
  });
  return {
    [`${directory}/free_hugepages`]: count("free"),
    [`${directory}/nr_hugepages`]: {
      ...count("total"),
      *store(params, text) {
        if (poolOf(params) === noHugePages) return refuseHugePages(params, text);
        yield* poolOf(params).resize(kstrtoull(text), nodeOf(params).id);
      },
    },
    [`${directory}/surplus_hugepages`]: count("surplus"),
    [`${demotable}/demote`]: { store: refuseHugePages },
    [`${demotable}/demote_size`]: { show: () => "2048kB\n", store: refuseHugePages },
  };
}

function refuseHugePages(_params: Params, text: string): void {
  if (text.trim() !== "0")
    throw new KernelError("EINVAL", "a pool of these huge pages is not modelled: the only size is 0");
}

function onlineNode(memory: Memory, id: number): MemoryNode {
  const node = memory.nodes[id];
  if (!node?.online) throw new KernelError("ENOENT", `node ${id} is not online`);
  return node;
}
