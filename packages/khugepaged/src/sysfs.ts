// The files in /sys/kernel/mm/transparent_hugepage/khugepaged: limits for empty, swapped and shared entries of a range,
// the pace of the thread, and its counters.
// Kernel counterpart: khugepaged_attr in mm/khugepaged.c.
import { INT_MAX } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { ENTRIES } from "@hetmem/page-table";
import { type AttributeTable, intSysctl } from "@hetmem/vfs";
import { khugepagedOf } from "./khugepaged.ts";

/** The files of a machine's khugepaged. @throws KernelBug if the machine was made without khugepagedParts */
export function khugepagedTables(vm: Vm): AttributeTable[] {
  const { tunables } = vm;
  const daemon = khugepagedOf(vm);
  return [
    {
      root: "/sys/kernel/mm/transparent_hugepage/khugepaged",
      files: {
        full_scans: { show: () => `${daemon.fullScans}\n` },
        max_ptes_none: intSysctl(tunables, "khugepagedMaxPtesNone", 0, ENTRIES - 1),
        max_ptes_shared: intSysctl(tunables, "khugepagedMaxPtesShared", 0, ENTRIES - 1),
        max_ptes_swap: intSysctl(tunables, "khugepagedMaxPtesSwap", 0, ENTRIES - 1),
        pages_collapsed: { show: () => `${daemon.pagesCollapsed}\n` },
        pages_to_scan: intSysctl(tunables, "khugepagedPagesToScan", 1, INT_MAX),
        scan_sleep_millisecs: intSysctl(tunables, "khugepagedScanSleepMillisecs", 0, INT_MAX),
      },
    },
  ];
}
