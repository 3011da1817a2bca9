// NUMA statistics of allocations: hits and misses of the preferred node, local and remote requests. Kernel
// counterpart: zone_statistics() in mm/page_alloc.c.
import type { NodeId } from "@hetmem/kernel";
import { NumaStat } from "./vmstat.ts";
import { type Zone, ZoneNumber } from "./zone.ts";

/**
 * Counts requests.
 *
 * @param zone the zone that served the requests
 * @param preferred the first zone of their zonelist that they could use
 * @param cpuNode the node of the CPU that made them
 */
export function countNuma(zone: Zone, preferred: Zone, cpuNode: NodeId | undefined, requests: number): void {
  add(zone, zone.node === cpuNode ? NumaStat.numa_local : NumaStat.numa_other, requests);
  if (zone.node === preferred.node) {
    add(zone, NumaStat.numa_hit, requests);
    return;
  }
  add(zone, NumaStat.numa_miss, requests);
  add(preferred, NumaStat.numa_foreign, requests);
}

function add({ numbers, firstNumber }: Zone, item: number, by: number): void {
  const at = firstNumber + ZoneNumber.numaStat + item;
  numbers[at] = (numbers[at] as number) + by;
}
