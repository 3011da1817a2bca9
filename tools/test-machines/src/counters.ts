// Counters of /proc/vmstat: single ones, and all that an operation changes. The allocator's own counters are left
// out; packages/zone tests them.
import type { Vm } from "@hetmem/mm";
import {
  allZones,
  NODE_STATS,
  NodeStat,
  type NodeStatName,
  NUMA_STATS,
  VM_EVENTS,
  VmEvent,
  type VmEventName,
  ZONE_STATS,
  ZoneStat,
} from "@hetmem/zone";

const ALLOCATOR_COUNTERS = /^nr_free_pages$|^pgalloc_|^pgfree$|^numa_(hit|miss|foreign|local|other)$/;

/** Runs something and returns the change of each counter; unchanged counters are left out. */
export function changedCounters(vm: Vm, body: () => unknown): Readonly<Record<string, number>> {
  const before = counters(vm);
  body();
  const changed: Record<string, number> = {};
  for (const [name, value] of counters(vm)) {
    const difference = value - (before.get(name) ?? 0);
    if (difference !== 0 && !ALLOCATOR_COUNTERS.test(name)) changed[name] = difference;
  }
  return changed;
}

/** A counter summed over all nodes. */
export function nodeStat({ memory }: Vm, name: NodeStatName): number {
  return memory.nodes.reduce((sum, node) => sum + (node?.stat[NodeStat[name]] ?? 0), 0);
}

/** An event counter of the machine. */
export function event({ memory }: Vm, name: VmEventName): number {
  return memory.allocator.events[VmEvent[name]] ?? 0;
}

/** Dirty pages and pages under writeback, as the zones count them. */
export function writePending({ memory }: Vm): number {
  return [...allZones(memory)].reduce(
    (sum, { stat }) => sum + (stat[ZoneStat.nr_zone_write_pending] ?? 0),
    0,
  );
}

function counters({ memory }: Vm): Map<string, number> {
  const zones = [...allZones(memory)];
  const nodes = memory.nodes.filter((node) => node !== undefined);
  const values = new Map<string, number>();
  const add = (names: readonly string[], of: readonly Float64Array[]): void => {
    for (const [item, name] of names.entries())
      values.set(
        name,
        of.reduce((sum, stat) => sum + (stat[item] ?? 0), 0),
      );
  };
  add(
    ZONE_STATS,
    zones.map((zone) => zone.stat),
  );
  add(
    NUMA_STATS,
    zones.map((zone) => zone.numaStat),
  );
  add(
    NODE_STATS,
    nodes.map((node) => node.stat),
  );
  add(VM_EVENTS, [memory.allocator.events]);
  return values;
}
