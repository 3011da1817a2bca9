// What a machine is made of before it boots: what the firmware says of its memory, its nodes, and the options of its
// kernel. Captured hosts and YAML files are turned into one; createMachine() takes nothing else.
import type { NodeId, PhysAddr } from "@hetmem/kernel";

/** The kernel release whose rules apply. */
export type ProfileName = "v4.14" | "v5.1" | "v6.1";

/** A line of /proc/iomem with the lines indented below it. Both ends are inclusive bytes. */
export interface IomemEntry {
  readonly start: PhysAddr;
  readonly end: PhysAddr;
  readonly name: string;
  readonly children: readonly IomemEntry[];
}

/** Physical memory in [start, end), in bytes. */
export interface MemoryRange {
  readonly start: PhysAddr;
  readonly end: PhysAddr;
}

export interface NodeSpec {
  readonly id: NodeId;
  /** Memory that is there at boot, ascending. Empty for a node that hotplug may fill. */
  readonly memory: readonly MemoryRange[];
  readonly cpus: readonly number[];
}

/** Pages of one boot zone that somebody holds once the machine is up. Without it a zone starts with its reserved pages alone. */
export interface BootUsage {
  readonly node: NodeId;
  readonly zone: "DMA" | "DMA32" | "Normal" | "Movable";
  /** Pages that memblock kept: present minus managed. */
  readonly reservedPages: number;
  /** Kernel allocations: slab, stacks, page tables. */
  readonly unmovablePages: number;
  /** Pages of processes and of the page cache. */
  readonly movablePages: number;
}

/** Boot options, named as on the kernel command line and in Kconfig. */
export interface KernelOptions {
  /** Bytes that stay out of ZONE_MOVABLE, for the whole machine. */
  readonly kernelcore?: number;
  /** Bytes that go to ZONE_MOVABLE, for the whole machine. */
  readonly movablecore?: number;
  /** Hotpluggable boot memory becomes ZONE_MOVABLE. */
  readonly movable_node?: boolean;
  /** The struct pages of added memory live in that memory. */
  readonly memmap_on_memory?: boolean;
  /** What happens to added blocks: /sys/devices/system/memory/auto_online_blocks. */
  readonly memhp_default_state?: "offline" | "online" | "online_kernel" | "online_movable";
  /** CONFIG_ names that are set; what they forbid together is refused. */
  readonly kconfig?: readonly string[];
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
  readonly bootUsage: readonly BootUsage[];
  /** Memory that the firmware hides and that may be probed. Empty when any range above the boot memory may be. */
  readonly hidden: readonly MemoryRange[];
  readonly options: KernelOptions;
  /** `uname -r`. */
  readonly release: string;
}
