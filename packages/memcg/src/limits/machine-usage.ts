// Pages of RAM in use on the whole machine, summed over its zones: unlike a cgroup, the machine has no counter of them.
// Kernel counterpart: si_meminfo() in mm/page_alloc.c.
import type { Vm } from "@hetmem/mm";
import { allZones } from "@hetmem/zone";

/** Pages of RAM: those in use, and all that the page allocator manages. */
export function machineUsage({ memory }: Vm): { usage: number; total: number } {
  let total = 0;
  let free = 0;
  for (const zone of allZones(memory)) {
    total += zone.managedPages;
    free += zone.freePages;
  }
  return { usage: total - free, total };
}
