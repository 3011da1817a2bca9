// The memory of a machine once its kernel has booted: the tree of physical addresses, nodes and zones, memory blocks, and the
// device memory that drivers of a captured host had mapped. Kernel counterparts: setup_arch() in arch/x86/kernel/setup.c,
// memory_dev_init() in drivers/base/memory.c.
import { type Kernel, physAddr } from "@hetmem/kernel";
import {
  DEFAULT_DIRECT_MAP_BITS,
  type MachineSpec,
  type MemoryRange,
  writeIomem,
} from "@hetmem/machine-spec";
import { createIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { bootMemory, type Memory, MemoryHotplug, type OnlinePolicies } from "@hetmem/zone";
import { registerBootBlocks } from "./boot-blocks.ts";
import { spanDeviceMemory } from "./device-spans.ts";
import { maxPages } from "./host-room.ts";
import { checkMade } from "../parts/check-parts.ts";
import type { MachineParts } from "../parts/machine-parts.ts";

export interface BootedMemory {
  readonly iomem: ResourceTree;
  readonly memory: Memory;
  readonly hotplug: MemoryHotplug;
}

/** @throws KernelError with a sentence that names what the specification has wrong */
export function bootMachineMemory(
  kernel: Kernel,
  spec: MachineSpec,
  { config, placement }: MachineParts,
  onlinePolicies: OnlinePolicies,
): BootedMemory {
  const iomem = parseIomem(writeIomem(spec.iomem), createIomem(spec.physicalBits));
  const memory = bootMemory(kernel, {
    nodes: spec.nodes,
    distances: spec.distances,
    physicalBits: spec.physicalBits,
    maxPages: maxPages(spec),
    reserved: kernelImage(spec),
    zones: spec.bootUsage,
    ...pick(spec.options, "kernelcore", "movablecore", "movable_node"),
  });
  const hotplug = new MemoryHotplug({
    memory,
    iomem,
    placement: (groups) =>
      checkMade("placement", placement({ memory, groups, options: spec.options, onlinePolicies })),
    blockSize: spec.blockSize,
    addressableEnd: 2 ** (spec.directMapBits ?? DEFAULT_DIRECT_MAP_BITS),
    memmapOnMemory: spec.options.memmap_on_memory ?? false,
    autoOnline:
      spec.options.memhp_default_state ??
      (config.has("MEMORY_HOTPLUG_DEFAULT_ONLINE") ? "online" : "offline"),
    hotremove: config.has("MEMORY_HOTREMOVE"),
  });
  registerBootBlocks(hotplug);
  spanDeviceMemory(memory, spec.deviceSpans ?? []);
  return { iomem, memory, hotplug };
}

/** The ranges of the kernel's image, from the firmware map. */
function kernelImage({ iomem }: MachineSpec): MemoryRange[] {
  return iomem
    .flatMap((entry) => entry.children)
    .filter((entry) => /^Kernel (code|rodata|data|bss)$/.test(entry.name))
    .map(({ start, end }) => ({ start, end: physAddr(end + 1) }));
}

/** The named properties that have a value. */
function pick<T extends object, K extends keyof T>(from: T, ...names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]),
  ) as Pick<T, K>;
}
