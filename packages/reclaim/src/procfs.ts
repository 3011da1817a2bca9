// /proc/swaps, and the tunables of reclaim and the OOM killer in /proc/sys/vm:
// swappiness and oom_kill_allocating_task.
// Kernel counterparts: vm_table in kernel/sysctl.c, swaps_proc_ops in mm/swapfile.c.
import { INT_MAX, INT_MIN } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { noSwap } from "@hetmem/mm/ports";
import { type AttributeTable, intSysctl, switchSysctl } from "@hetmem/vfs";
import { swapsText } from "./swap/swaps-text.ts";

/** The files of a machine. Without swap there is no /proc/swaps. */
export function reclaimTables({ swap, tunables }: Vm): AttributeTable[] {
  return [
    { root: "/proc", files: swap === noSwap ? {} : { swaps: { show: () => swapsText(swap.areas) } } },
    {
      root: "/proc/sys/vm",
      files: {
        oom_kill_allocating_task: switchSysctl(tunables, "oomKillAllocatingTask", INT_MAX, INT_MIN),
        swappiness: intSysctl(tunables, "swappiness", 0, 200),
      },
    },
  ];
}
