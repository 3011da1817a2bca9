// /proc/sys/kernel/numa_balancing, which switches NUMA balancing, and /sys/kernel/mm/numa/demotion_enabled, which
// switches demotion. Kernel counterparts: sysctl_numa_balancing() in kernel/sched/core.c, numa_attrs in
// mm/memory-tiers.c.
import { kstrtobool } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { type AttributeTable, switchSysctl } from "@hetmem/vfs";

/** The switch of NUMA balancing. @see CONFIG_NUMA_BALANCING */
export function numaBalancingTable({ tunables }: Vm): AttributeTable {
  return {
    root: "/proc",
    files: { "sys/kernel/numa_balancing": switchSysctl(tunables, "numaBalancing", 4) },
  };
}

/** The switch of demotion. */
export function demotionTable({ tunables }: Vm): AttributeTable {
  return {
    root: "/sys/kernel/mm",
    files: {
      "numa/demotion_enabled": {
        show: () => `${tunables.demotionEnabled}\n`,
        store(_params, text) {
          tunables.demotionEnabled = kstrtobool(text);
        },
      },
    },
  };
}
