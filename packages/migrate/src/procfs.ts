// /proc/sys/kernel/numa_balancing, which switches NUMA balancing, and /sys/kernel/mm/numa/demotion_enabled, which
// switches demotion. Kernel counterparts: sysctl_numa_balancing() in kernel/sched/core.c, numa_attrs in
// mm/memory-tiers.c.
import { kstrtobool } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { type AttributeTable, switchSysctl } from "@hetmem/vfs";

/** The files of a machine. @param vm the machine, whose tunables they show and set */
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
