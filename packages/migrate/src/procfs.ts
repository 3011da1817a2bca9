// Whether pages follow the nodes that use them, and go down to slower nodes: /proc/sys/kernel/numa_balancing and
// /sys/kernel/mm/numa. Kernel counterparts: sysctl_numa_balancing() in kernel/sched/core.c, numa_attrs in mm/memory-tiers.c.
import { kstrtobool } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { type AttributeTable, switchSysctl } from "@hetmem/vfs";

export function migrateTables({ tunables }: Vm): AttributeTable[] {
  return [
    { root: "/proc", files: { "sys/kernel/numa_balancing": switchSysctl(tunables, "numaBalancing", 4) } },
    {
      root: "/sys/kernel/mm",
      files: {
        "numa/demotion_enabled": {
          show: () => `${tunables.demotionEnabled}\n`,
          store(_params, text) {
            tunables.demotionEnabled = kstrtobool(text);
          },
        },
      },
    },
  ];
}
