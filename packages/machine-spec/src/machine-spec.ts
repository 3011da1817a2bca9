// What a machine is made of before it boots: what the firmware says of its memory, its nodes, and the options of its
// kernel. Captured hosts and YAML files are turned into one; createMachine() takes nothing else.
import type { DmaLatency, GpuPolicy } from "@hetmem/gpu";
import type { NodeId, PhysAddr } from "@hetmem/kernel";
import type { NamespaceRecord } from "@hetmem/nvdimm";
import type { BootNode, BootRange, BootZone, MovableOptions } from "@hetmem/zone";

export const PROFILE_NAMES = ["v4.14", "v5.1", "v6.1"] as const;
/** The kernel release whose rules apply. */
export type ProfileName = (typeof PROFILE_NAMES)[number];

export const CGROUP_FEATURES = ["memory", "pressure"] as const;
/** What cgroup_disable= takes. @see cgroup_disable() in kernel/cgroup/cgroup.c */
export type CgroupFeature = (typeof CGROUP_FEATURES)[number];

export const ONLINE_TYPES = ["offline", "online", "online_kernel", "online_movable"] as const;
/** What becomes of memory blocks that are added. @see online_type_to_str in drivers/base/memory.c */
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

/** Memory that the firmware map leaves out, and the node that its affinity table puts it in. */
export interface HiddenMemory extends MemoryRange {
  /** What phys_to_target_node() answers; a probe by hand ignores it, as the kernel does. */
  readonly node?: NodeId;
}

/** Memory that isn't RAM at boot, and the node that it would be. */
export interface DeviceAffinity extends MemoryRange {
  readonly node: NodeId;
  /** The node that is next to it, -1 where nobody knows; worked out from distances where absent. */
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
  /** As the bytes lie in the table, most significant first. */
  readonly vendor?: number;
  readonly device?: number;
  readonly serial?: number;
  /** Bytes. */
  readonly capacity: number;
  /** Whether its label area has an index from the first, so that namespaces come from labels. */
  readonly labelled?: boolean;
}

/** A range of persistent memory, interleaved over modules; without any where the command line made it (`memmap=`). */
export interface NvdimmRange extends MemoryRange {
  /** Numbers of the modules, in the order of interleaving, with the first byte of each. */
  readonly mappings: readonly { readonly dimm: number; readonly start: number }[];
  /** The node of the cpus next to it, and the one that its memory becomes when it is made RAM; -1 for none. */
  readonly numaNode: number;
  readonly targetNode: number;
  /** What the platform says it saves when the power fails. */
  readonly persistenceDomain?: "cpu_cache" | "memory_controller";
  /** What has been made of it, the lowest first; none where absent. */
  readonly namespaces?: readonly NamespaceRecord[];
}

export interface NvdimmSpec {
  readonly provider: "ACPI.NFIT" | "e820";
  /** Whether the firmware scrubs, injects and clears errors. */
  readonly firmware: "ars" | "labels" | "none";
  readonly modules: readonly NvdimmModule[];
  readonly ranges: readonly NvdimmRange[];
}

/** A device that computes on a process's own pointers, with memory of its own. */
export interface GpuSpec {
  /** "gpu0": of its file in /dev, and of its line in /proc/iomem. */
  readonly name: string;
  /** Whether the cpu reaches its memory: "coherent", which was called public up to 5.2, or not. */
  readonly memory: "private" | "coherent";
  /** Bytes. */
  readonly size: number;
  /** Where the firmware has put the memory. Absent: the highest free region of the physical space. */
  readonly start?: PhysAddr;
  /** The node that it is near. Absent: that of the first cpu. */
  readonly node?: NodeId;
  /** What moves without being asked. */
  readonly policy: GpuPolicy;
  /** What the bus costs. */
  readonly latency: DmaLatency;
}

/** What udev does when a dax device comes: the first rule that fits runs its command. */
export interface DeviceRule {
  /** Name of the device: `dax0.0`, or `dax*` for several. */
  readonly device: string;
  /** A line of the shell. */
  readonly run: string;
}

/** Files of /proc and /sys that no package models: absolute path to contents. */
export type Passthrough = ReadonlyMap<string, string>;

/** Pages of one boot zone that are in use once the machine is up. A zone without an entry starts with its reserved pages alone. */
export interface BootUsage extends BootZone {
  readonly zone: "DMA" | "DMA32" | "Normal" | "Movable";
  /** Kernel allocations: slab, stacks, page tables. */
  readonly unmovablePages: number;
  /** Pages of processes and of the page cache. */
  readonly movablePages: number;
}

/** Boot options, named as on the kernel command line and in Kconfig; sizes are bytes, for the whole machine. */
export interface KernelOptions extends MovableOptions {
  /** The struct pages of added memory live in that memory. */
  readonly memmap_on_memory?: boolean;
  /** What happens to added blocks: /sys/devices/system/memory/auto_online_blocks. */
  readonly memhp_default_state?: OnlineType;
  /** Which placement policy, where it isn't the profile's. */
  readonly placement?: "strict" | "any-order" | "auto-movable";
  /** Movable memory that auto-movable allows for 100 of boot-time kernel memory. */
  readonly auto_movable_ratio?: number;
  /** Whether that ratio must hold on each node, too. */
  readonly auto_movable_numa_aware?: boolean;
  /** Controllers, and features of cgroups, that the kernel does without: nobody is charged then, or no time of waiting counted. */
  readonly cgroup_disable?: readonly CgroupFeature[];
  /** CONFIG_ names that are set; what they forbid together is refused. */
  readonly kconfig?: readonly string[];
}

/** A device that the machine swaps to from the first. */
export interface SwapArea {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** The highest is filled first; below zero, in the order of their coming, where absent. */
  readonly priority?: number;
}

export interface MachineSpec {
  /** For people: a host name, or the file that it came from. */
  readonly name: string;
  readonly profile: ProfileName;
  /** /proc/iomem at boot, System RAM among it. */
  readonly iomem: readonly IomemEntry[];
  /** Every possible node, ascending. */
  readonly nodes: readonly NodeSpec[];
  /** distances[a][b] by position in `nodes`: 10 is local. */
  readonly distances: readonly (readonly number[])[];
  /** Bytes in a memory block: 128 MiB on most machines, up to 2 GiB on large ones. */
  readonly blockSize: number;
  /** Bits of a physical address; device memory goes to the top. */
  readonly physicalBits: number;
  /** Bits that the kernel's direct map reaches: 46 with four levels of page tables, 52 with five. 46 where absent. */
  readonly directMapBits?: number;
  /** Bytes of memory and device memory that the machine may come to have; 64 GiB more than it boots with and its devices have, where absent. */
  readonly maxMemory?: number;
  readonly bootUsage: readonly BootUsage[];
  /** Device memory of drivers that are up before anybody types. */
  readonly deviceSpans?: readonly DeviceSpan[];
  /** Memory that the firmware hides and that may be probed. Empty when any range above the boot memory may be. */
  readonly hidden: readonly HiddenMemory[];
  /** Memory blocks of a captured host that were there and not online: added after boot, to stay offline. Not in `nodes`. */
  readonly offline?: readonly HiddenMemory[];
  readonly options: KernelOptions;
  /** Which node the firmware puts device memory in, where it says so. @see phys_to_target_node() */
  readonly affinity?: readonly DeviceAffinity[];
  /** Persistent memory; none where absent. */
  readonly nvdimm?: NvdimmSpec;
  /** None where absent. */
  readonly gpus?: readonly GpuSpec[];
  /** What is done with devices as they come, also after a reboot. */
  readonly rules?: readonly DeviceRule[];
  /** None where absent. */
  readonly swap?: readonly SwapArea[];
  /** How cgroups are mounted: one hierarchy for all controllers where absent, or the older one with memory alone. */
  readonly cgroup?: "v1" | "v2";
  /** What is written to files of /proc/sys once the machine is up: `vm.swappiness` to 10. */
  readonly sysctl?: Readonly<Record<string, number>>;
  /** `uname -r`. */
  readonly release: string;
  /** What the captured host said in files that no package models, such as its CPU topology. Read-only. */
  readonly passthrough?: Passthrough;
}
