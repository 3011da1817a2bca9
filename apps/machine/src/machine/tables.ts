// The files of /proc and /sys that a machine has before its devices and its cgroups add theirs. Each package describes its own files;
// this is their list.
import { gupTestTable } from "@hetmem/gup";
import { hugetlbPool, hugetlbTables } from "@hetmem/hugetlb";
import { KiB, type NodeId, nodeId, TiB } from "@hetmem/kernel";
import { khugepagedTables } from "@hetmem/khugepaged";
import { DEFAULT_DIRECT_MAP_BITS, type MachineSpec } from "@hetmem/machine-spec";
import { migrateTables } from "@hetmem/migrate";
import { type Vm, vmTables } from "@hetmem/mm";
import { pageCacheTables } from "@hetmem/page-cache";
import { procPidTable } from "@hetmem/proc-pid";
import { reclaimTables } from "@hetmem/reclaim";
import { formatIomem, type ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";
import {
  busTables,
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
  readonly iomem: ResourceTree;
  readonly vm: Vm;
}

/** Files of /proc about physical memory. */
export function memoryTables({ spec, iomem, vm }: MemoryTableOptions): AttributeTable[] {
  return [
    {
      root: "/proc",
      files: { iomem: { mode: 0o400, show: () => formatIomem(iomem, { privileged: true }) } },
    },
    ...procTables(vm.memory, {
      vmallocTotalKiB: vmallocKiB(spec),
      swapTotal: () => vm.swap.totalPages,
      swapFree: () => vm.swap.freePages,
      committed: () => vm.commit.pages,
      commitLimit: () => vm.commit.limit,
      hugePages: hugetlbPool(vm),
    }),
  ];
}

export interface ProcessTableOptions {
  readonly parts: MachineParts;
  readonly vm: Vm;
  readonly processes: Processes;
}

/** Files of address spaces, of processes, and of what reclaims and migrates their pages. */
export function processTables({ parts, vm, processes }: ProcessTableOptions): AttributeTable[] {
  return [
    ...vmTables(vm),
    ...pageCacheTables(vm, () => processes.currentTask),
    ...reclaimTables(vm),
    ...hugetlbTables(vm),
    ...khugepagedTables(vm),
    ...migrateTables(vm),
    procPidTable(vm),
    processes.selfTable(),
    memoryDevices(),
    gupTestTable(vm, parts.gupTest),
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
  return [
    memorySysfs({
      hotplug,
      failure,
      nodeOfAddress: (address) => nodeOfBootMemory(spec, address),
      removable: parts.removable,
      autoOnlineTypes: parts.autoOnlineTypes,
    }),
    ...nodeSysfs(
      vm.memory,
      {
        blocksOfNode: (node) => blocksOfNode(hotplug, node),
        isBlockOfNode: (block, node) => hotplug.blocks.get(block)?.nodes.includes(node) ?? false,
      },
      hugetlbPool(vm),
    ),
    ...busTables(hotplug),
    ...(parts.onlinePolicies.length > 0
      ? [memoryHotplugParameters(onlinePolicies, hotplug.memmapOnMemory)]
      : []),
    ...cpuTables(spec),
  ];
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

function blocksOfNode(hotplug: MemoryHotplug, node: NodeId): number[] {
  return [...hotplug.blocks.values()].filter((block) => block.nodes.includes(node)).map((block) => block.id);
}
