// The specification of a machine before it boots: its firmware map, its nodes, its devices, and the options of its kernel.
// Machine files and captured hosts are converted to one, and createMachine() of hetmem takes one.
import type { GpuDescription, MigrationPolicy } from "@hetmem/gpu/driver";
import type { NodeId, PhysAddr } from "@hetmem/kernel";
import type { NamespaceRecord } from "@hetmem/nvdimm";
import type { BootNode, BootRange, BootZone, MovableOptions } from "@hetmem/zone";

export const PROFILE_NAMES = ["v4.14", "v5.1", "v6.1"] as const;
/** The kernel release whose rules apply. */
export type ProfileName = (typeof PROFILE_NAMES)[number];

export const CGROUP_FEATURES = ["memory", "pressure"] as const;
/** A value of cgroup_disable=. @see cgroup_disable() in kernel/cgroup/cgroup.c */
export type CgroupFeature = (typeof CGROUP_FEATURES)[number];

export const ONLINE_TYPES = ["offline", "online", "online_kernel", "online_movable"] as const;
/** State of memory blocks after they are added. @see online_type_to_str in drivers/base/memory.c */
export type OnlineType = (typeof ONLINE_TYPES)[number];

/** A line of /proc/iomem with the lines indented below it. Both ends are inclusive bytes. */
export interface IomemEntry {
  readonly start: PhysAddr;
  readonly end: PhysAddr;
  readonly name: string;
  readonly children: readonly IomemEntry[];
}

/** Physical memory in [start, end), in bytes. */
export type MemoryRange = BootRange;

/** A possible node. Its memory at boot is ascending, and empty where hotplug may fill the node. */
export type NodeSpec = BootNode;

/** Memory that is missing in the firmware map, with its node in the affinity table. */
export interface HiddenMemory extends MemoryRange {
  /** The answer of phys_to_target_node(). Writing to the file `probe` ignores it, as in the kernel. */
  readonly node?: NodeId;
}

/** Memory that isn't RAM at boot, and its node, should it become RAM. */
export interface DeviceAffinity extends MemoryRange {
  readonly node: NodeId;
  /** The nearest node with cpus or memory, -1 if unknown; the one at the least distance where absent. */
  readonly numaNode?: number;
}

/** Device memory that ZONE_DEVICE of a node spans at boot. */
export interface DeviceSpan extends MemoryRange {
  readonly node: NodeId;
}

/** A module of persistent memory, as the firmware's NFIT lists it. */
export interface NvdimmModule {
  readonly handle?: number;
  readonly physId?: number;
  /** In the byte order of the table: most significant byte first. */
  readonly vendor?: number;
  readonly device?: number;
  readonly serial?: number;
  /** Bytes. */
  readonly capacity: number;
  /** Whether its label area has an index block already, so that namespaces come from labels. */
  readonly labelled?: boolean;
}

/** A range of persistent memory, interleaved over modules. A range that memmap= set aside has no modules. */
export interface NvdimmRange extends MemoryRange {
  /** Numbers of the modules, in the order of interleaving, with the first byte of each. */
  readonly mappings: readonly { readonly dimm: number; readonly start: number }[];
  /** The nearest node, and the node of its memory, should it become RAM; -1 for none. */
  readonly numaNode: number;
  readonly targetNode: number;
  /** The part of the machine whose contents the platform saves on a power failure. */
  readonly persistenceDomain?: "cpu_cache" | "memory_controller";
  /** Namespaces in it, by ascending address; none where absent. */
  readonly namespaces?: readonly NamespaceRecord[];
}

export interface NvdimmSpec {
  readonly provider: "ACPI.NFIT" | "e820";
  /** Whether the firmware scrubs, injects and clears errors. */
  readonly firmware: "ars" | "labels" | "none";
  readonly modules: readonly NvdimmModule[];
  readonly ranges: readonly NvdimmRange[];
}

/** A device that works on the memory of processes through their own addresses, and has memory of its own. */
export interface GpuSpec extends Omit<GpuDescription, "policy"> {
  /**
   * The policy by which pages migrate to the device, or the name of one that the machine has: "prefetch-64K". Absent: the first
   * of the machine's policies.
   */
  readonly policy?: MigrationPolicy | string;
}

/** A rule of udev. For each new dax device, the first rule that matches runs its command. */
export interface DeviceRule {
  /** Name of the device: `dax0.0`, or `dax*` for several. */
  readonly device: string;
  /** A line of the shell. */
  readonly run: string;
}

/** Contents of files of /proc and /sys that no package models, by absolute path. */
export type Passthrough = ReadonlyMap<string, string>;

/** Pages of one boot zone that are in use once the machine is up. A zone without an entry starts with its reserved pages alone. */
export interface BootUsage extends BootZone {
  readonly zone: "DMA" | "DMA32" | "Normal" | "Movable";
  /** Pages of the kernel, which can't be moved: slab, stacks, page tables. */
  readonly unmovablePages: number;
  /** Pages of processes and of the page cache, which can be moved. */
  readonly movablePages: number;
}

/** Boot options, named as on the kernel command line and in Kconfig; sizes are bytes, for the whole machine. */
export interface KernelOptions extends MovableOptions {
  /** The struct pages of added memory live in that memory. */
  readonly memmap_on_memory?: boolean;
  /** State of added blocks: /sys/devices/system/memory/auto_online_blocks. */
  readonly memhp_default_state?: OnlineType;
  /** Zone placement policy. Absent: the profile's. */
  readonly placement?: "strict" | "any-order" | "auto-movable";
  /** Percent of movable memory to kernel memory that auto-movable allows. */
  readonly auto_movable_ratio?: number;
  /** Whether the ratio must hold on each node, too. */
  readonly auto_movable_numa_aware?: boolean;
  /** Disabled features of cgroups: without `memory` no page is charged, without `pressure` no stall time is counted. */
  readonly cgroup_disable?: readonly CgroupFeature[];
  /** CONFIG_ names that are set. checkKconfig() refuses combinations that Kconfig forbids. */
  readonly kconfig?: readonly string[];
}

/** A swap area that is in use once the machine is up. */
export interface SwapArea {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** The area with the highest priority is filled first. Absent: below zero, falling in the order of the list. */
  readonly priority?: number;
}

export interface MachineSpec {
  /** A host name, or the name of the machine file, for messages. */
  readonly name: string;
  readonly profile: ProfileName;
  /** /proc/iomem at boot, System RAM among it. */
  readonly iomem: readonly IomemEntry[];
  /** Every possible node, ascending. */
  readonly nodes: readonly NodeSpec[];
  /** distances[a][b] by position in `nodes`: 10 is local. */
  readonly distances: readonly (readonly number[])[];
  /** Bytes of a memory block: 128 MiB on most machines, up to 2 GiB on large ones. */
  readonly blockSize: number;
  /** Bits of a physical address. Device memory without a place goes to the top of the address space. */
  readonly physicalBits: number;
  /** Bits that the kernel's direct map reaches: 46 with four levels of page tables, 52 with five. 46 where absent. */
  readonly directMapBits?: number;
  /** Bytes of memory and device memory at most. Absent: boot memory, device memory, and 64 GiB more. */
  readonly maxMemory?: number;
  readonly bootUsage: readonly BootUsage[];
  /** Device memory that drivers of a captured host had mapped, in ZONE_DEVICE from boot on. */
  readonly deviceSpans?: readonly DeviceSpan[];
  /** Memory that is missing in the firmware map and may be probed. When empty, every range above the boot memory may be. */
  readonly hidden: readonly HiddenMemory[];
  /** Memory of a captured host that was offline. It is added after boot, stays offline, and is not in `nodes`. */
  readonly offline?: readonly HiddenMemory[];
  readonly options: KernelOptions;
  /** The node of device memory in the firmware's affinity table. @see phys_to_target_node() in arch/x86/mm/numa.c */
  readonly affinity?: readonly DeviceAffinity[];
  /** Persistent memory; none where absent. */
  readonly nvdimm?: NvdimmSpec;
  /** None where absent. */
  readonly gpus?: readonly GpuSpec[];
  /** Rules for new devices, which hold after a reboot, too. */
  readonly rules?: readonly DeviceRule[];
  /** None where absent. */
  readonly swap?: readonly SwapArea[];
  /** How cgroups are mounted: one hierarchy for all controllers where absent, or the older one with memory alone. */
  readonly cgroup?: "v1" | "v2";
  /** Values for files of /proc/sys, written once the machine is up: `vm.swappiness` to 10. */
  readonly sysctl?: Readonly<Record<string, number>>;
  /** `uname -r`. */
  readonly release: string;
  /** Files of a captured host that no package models, such as its CPU topology. Read-only. */
  readonly passthrough?: Passthrough;
}
