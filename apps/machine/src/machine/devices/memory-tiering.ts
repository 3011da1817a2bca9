// /sys/devices/virtual/memory_tiering, which shows how slow the memory of each node is. A tier is named after the chunk of
// abstract distances that its nodes fall into. Kernel counterpart: mm/memory-tiers.c.
import { formatIdList, type NodeId } from "@hetmem/kernel";
import type { MemoryTiers } from "@hetmem/mm/ports";
import type { AttributeTable, Params } from "@hetmem/vfs";
import { devicePowerFiles } from "@hetmem/zone";

export function memoryTieringTable(memoryTiers: MemoryTiers): AttributeTable {
  const nodesOf = ({ tier }: Params): readonly NodeId[] =>
    memoryTiers.tiers.find(({ id }) => `${id}` === tier)?.nodes ?? [];
  return {
    root: "/sys/devices/virtual/memory_tiering",
    instances: { tier: () => memoryTiers.tiers.map(({ id }) => `${id}`) },
    files: {
      uevent: { show: () => "", store: () => {} },
      ...devicePowerFiles(""),
      "memory_tier{tier}/nodelist": { show: (params) => `${formatIdList(nodesOf(params))}\n` },
      "memory_tier{tier}/uevent": { show: () => "", store: () => {} },
      ...devicePowerFiles("memory_tier{tier}/"),
    },
    links: { "memory_tier{tier}/subsystem": () => "../../../../bus/memory_tiering" },
  };
}
