// What of a machine's memory is in use: a shortage of the machine has no counter that says so. Kernel counterpart:
// si_meminfo() in mm/page_alloc.c.
import type { Vm } from "@hetmem/mm";
import { allZones } from "@hetmem/zone";

/** Pages of RAM: those in use, and those that the allocator has been given. */
export function machineUsage({ memory }: Vm): { usage: number; total: number } {
  let total = 0;
  let free = 0;
  for (const zone of allZones(memory)) {
    total += zone.managedPages;
    free += zone.freePages;
  }
  return { usage: total - free, total };
}
