// What MemoryHotplug is made from, and what is said of memory that is added. Kernel counterparts: the parameters of the
// command line and of Kconfig, struct mhp_params in include/linux/memory_hotplug.h.
import type { ResourceTree } from "@hetmem/resource";
import type { MemoryGroup, MemoryGroups } from "./memory-group.ts";
import type { Memory } from "./memory.ts";
import type { OnlineType, Placement } from "./placement.ts";
import type { VmemmapParams } from "./vmemmap.ts";

export interface MemoryHotplugOptions {
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  /** The zone of memory that goes online: anyOrderPlacement when absent. */
  readonly placement?: (groups: MemoryGroups) => Placement;
  /** Size of a memory block in bytes, a power of two of at least 128 MiB, which it is when absent. */
  readonly blockSize?: number;
  /** First physical address that the kernel's direct map can't map: the end of `iomem` when absent. */
  readonly addressableEnd?: number;
  /** Whether added blocks hold their own struct pages: false when absent. @see memmap_on_memory in mm/memory_hotplug.c */
  readonly memmapOnMemory?: boolean;
  /** The state that blocks get when they are added: offline when absent. */
  readonly autoOnline?: OnlineType | "offline";
  /** Whether memory can go offline and be removed; it can when absent. @see CONFIG_MEMORY_HOTREMOVE */
  readonly hotremove?: boolean;
}

/** Options of addMemory(). */
export interface AddMemoryOptions {
  /** Name of the iomem resource: "System RAM", or "System RAM (kmem)" for memory that a driver adds. */
  readonly name?: string;
  readonly group?: MemoryGroup;
}

/** @see struct mhp_params in include/linux/memory_hotplug.h */
export interface ArchAddMemoryParams extends VmemmapParams {
  /** Whether memory blocks are created: true for RAM, false for ZONE_DEVICE. */
  readonly memoryBlocks: boolean;
  readonly group?: MemoryGroup;
}
