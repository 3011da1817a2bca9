// /sys/bus/memory and /sys/bus/node: the buses of the memory block and node devices. Neither bus has drivers. Kernel
// counterpart: subsys_system_register() in drivers/base/bus.c.
import type { AttributeTable } from "@hetmem/vfs";
import type { MemoryHotplug } from "./memory-hotplug.ts";
import { type Memory, onlineNodes } from "./memory.ts";

/** @param hotplug the memory blocks; undefined for a kernel without hotplug, which has no bus of them */
export function busTables(memory: Memory, hotplug: MemoryHotplug | undefined): AttributeTable[] {
  return [
    ...(hotplug ? [bus("memory", () => [...hotplug.blocks.keys()])] : []),
    bus("node", () => onlineNodes(memory).map(({ id }) => id)),
  ];
}

/** @param name name of the bus; its devices are the name with a number behind it */
function bus(name: string, devices: () => number[]): AttributeTable {
  return {
    root: `/sys/bus/${name}`,
    instances: { device: () => devices().map((id) => `${name}${id}`) },
    directories: ["drivers"],
    links: { "devices/{device}": ({ device }) => `../../../devices/system/${name}/${device}` },
    files: {
      drivers_autoprobe: { show: () => "1\n", store: () => {} },
      drivers_probe: { store: () => {} },
      uevent: { store: () => {} },
    },
  };
}
