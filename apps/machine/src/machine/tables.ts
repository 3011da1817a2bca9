// The files of /proc and /sys that a machine has before its devices and its cgroups add theirs. Each package describes its own files;
// this is their list.
import { gupTestTable } from "@hetmem/gup";
import { hugetlbPool, hugetlbTables } from "@hetmem/hugetlb";
import { KiB, type NodeId, nodeId, TiB } from "@hetmem/kernel";
import { khugepagedTables } from "@hetmem/khugepaged";
import { DEFAULT_DIRECT_MAP_BITS, type MachineSpec } from "@hetmem/machine-spec";
import { demotionTable, numaBalancingTable } from "@hetmem/migrate";
import { type Vm, vmTables } from "@hetmem/mm";
import { pageCacheTables } from "@hetmem/page-cache";
import { procPidTable } from "@hetmem/proc-pid";
import { reclaimTables } from "@hetmem/reclaim";
import { formatIomem, type ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";
import {
  busTables,
  type HugePages,
  type MemoryBlock,
  type MemoryFailure,
  type MemoryHotplug,
  memoryHotplugParameters,
  memorySysfs,
  nodeSysfs,
  type OnlinePolicies,
  procTables,
} from "@hetmem/zone";
import { cpuTables } from "./cpu-sysfs.ts";
import { memoryDevices } from "./memory-devices.ts";
import type { Processes } from "./processes.ts";
import type { MachineParts } from "../parts/machine-parts.ts";

export interface MemoryTableOptions {
  readonly spec: MachineSpec;
  readonly parts: MachineParts;
  readonly iomem: ResourceTree;
  readonly vm: Vm;
}

/** Files of /proc about physical memory. */
export function memoryTables({ spec, parts, iomem, vm }: MemoryTableOptions): AttributeTable[] {
  return [
    {
      root: "/proc",
      files: { iomem: { mode: 0o400, show: () => formatIomem(iomem, { privileged: true }) } },
    },
    ...procTables(
      vm.memory,
      {
        vmallocTotalKiB: vmallocKiB(spec),
        swapTotal: () => vm.swap.totalPages,
        swapFree: () => vm.swap.freePages,
        committed: () => vm.commit.pages,
        commitLimit: () => vm.commit.limit,
        ...hugePagesOf(vm, parts),
      },
      parts.config,
    ),
  ];
}

export interface ProcessTableOptions {
  readonly parts: MachineParts;
  readonly vm: Vm;
  readonly processes: Processes;
}

/** Files of address spaces, of processes, and of what reclaims and migrates their pages. */
export function processTables({ parts, vm, processes }: ProcessTableOptions): AttributeTable[] {
  const { config } = parts;
  return [
    ...vmTables(vm),
    ...pageCacheTables(vm, () => processes.currentTask),
    ...reclaimTables(vm),
    ...(config.has("HUGETLB_PAGE") ? hugetlbTables(vm) : []),
    ...(config.has("TRANSPARENT_HUGEPAGE") ? khugepagedTables(vm) : []),
    demotionTable(vm),
    ...(config.has("NUMA_BALANCING") ? [numaBalancingTable(vm)] : []),
    procPidTable(vm),
    processes.selfTable(),
    memoryDevices(),
    ...(config.has("GUP_TEST") ? [gupTestTable(vm, parts.gupTest)] : []),
  ];
}

export interface SystemTableOptions {
  readonly spec: MachineSpec;
  readonly parts: MachineParts;
  readonly onlinePolicies: OnlinePolicies;
  readonly hotplug: MemoryHotplug;
  readonly failure: MemoryFailure;
  readonly vm: Vm;
}

/** Files of /sys: memory blocks, nodes, buses, parameters of modules, cpus. */
export function systemTables(options: SystemTableOptions): AttributeTable[] {
  const { spec, parts, onlinePolicies, hotplug, failure, vm } = options;
  const { config } = parts;
  const blocks = config.has("MEMORY_HOTPLUG") ? hotplug.blocks : new Map<number, MemoryBlock>();
  return [
    ...(config.has("MEMORY_HOTPLUG")
      ? [
          memorySysfs({
            hotplug,
            failure: config.has("MEMORY_FAILURE") ? failure : undefined,
            nodeOfAddress: (address) => nodeOfBootMemory(spec, address),
            removable: parts.removable,
            autoOnlineTypes: parts.autoOnlineTypes,
            probe: config.has("ARCH_MEMORY_PROBE"),
          }),
        ]
      : []),
    ...nodeSysfs(
      vm.memory,
      {
        blocksOfNode: (node) => blocksOfNode(blocks, node),
        isBlockOfNode: (block, node) => blocks.get(block)?.nodes.includes(node) ?? false,
      },
      hugePagesOf(vm, parts).hugePages,
      config,
    ),
    ...busTables(vm.memory, config.has("MEMORY_HOTPLUG") ? hotplug : undefined),
    ...(parts.onlinePolicies.length > 0 && config.has("MEMORY_HOTPLUG")
      ? [
          memoryHotplugParameters(
            onlinePolicies,
            config.has("MHP_MEMMAP_ON_MEMORY") ? hotplug.memmapOnMemory : undefined,
          ),
        ]
      : []),
    ...cpuTables(spec),
  ];
}

/** The pool of huge pages, where the kernel has one. */
function hugePagesOf(vm: Vm, { config }: MachineParts): { readonly hugePages?: HugePages } {
  return config.has("HUGETLB_PAGE") ? { hugePages: hugetlbPool(vm) } : {};
}

/** The vmalloc area grows with the page tables. @see VMALLOC_SIZE_TB in arch/x86/include/asm/pgtable_64_types.h */
function vmallocKiB({ directMapBits = DEFAULT_DIRECT_MAP_BITS }: MachineSpec): number {
  const terabytes = directMapBits > DEFAULT_DIRECT_MAP_BITS ? 12_800 : 32;
  return (terabytes * TiB) / KiB - 1;
}

/** x86 asks the boot memory's node, and answers with the first node for addresses it doesn't know. @see memory_add_physaddr_to_nid() in arch/x86/mm/numa.c */
function nodeOfBootMemory(spec: MachineSpec, address: number): NodeId {
  const owner = spec.nodes.find(({ memory }) =>
    memory.some(({ start, end }) => start <= address && address < end),
  );
  return owner?.id ?? spec.nodes.find(({ memory }) => memory.length > 0)?.id ?? nodeId(0);
}

function blocksOfNode(blocks: ReadonlyMap<number, MemoryBlock>, node: NodeId): number[] {
  return [...blocks.values()].filter((block) => block.nodes.includes(node)).map((block) => block.id);
}
