// Where pages came from, and whether that is where they were wanted. Kernel counterpart: zone_statistics() in
// mm/page_alloc.c.
import type { NodeId } from "@hetmem/kernel";
import { NumaStat } from "./vmstat.ts";
import { type Zone, ZoneNumber } from "./zone.ts";

/**
 * Counts requests that a zone served.
 *
 * @param preferred the zone that came first for them
 * @param cpuNode the node of the cpu that asked
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
