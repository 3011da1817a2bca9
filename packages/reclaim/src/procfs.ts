// /proc/swaps, and the tunables of reclaim and the OOM killer in /proc/sys/vm:
// swappiness and oom_kill_allocating_task.
// Kernel counterparts: vm_table in kernel/sysctl.c, swaps_proc_ops in mm/swapfile.c.
import { INT_MAX, INT_MIN } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { type AttributeTable, intSysctl, switchSysctl } from "@hetmem/vfs";
import { swapSpace } from "./swap/swap-space.ts";
import { swapsText } from "./swap/swaps-text.ts";

/** The files of a machine. @throws KernelBug if the machine was made without reclaimParts */
export function reclaimTables(vm: Vm): AttributeTable[] {
  const { tunables } = vm;
  const swap = swapSpace(vm);
  return [
    { root: "/proc", files: { swaps: { show: () => swapsText(swap) } } },
    {
      root: "/proc/sys/vm",
      files: {
        oom_kill_allocating_task: switchSysctl(tunables, "oomKillAllocatingTask", INT_MAX, INT_MIN),
        swappiness: intSysctl(tunables, "swappiness", 0, 200),
      },
    },
  ];
}
