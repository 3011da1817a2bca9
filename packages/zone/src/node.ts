// A NUMA node: its zones, its zonelists and its counters. Kernel counterpart: struct pglist_data in
// include/linux/mmzone.h.
import type { NodeId, Pfn } from "@hetmem/kernel";
import { NODE_STATS } from "./vmstat.ts";
import type { Zone } from "./zone.ts";

/** Zones in the order in which a request tries them. @see struct zonelist */
export class Zonelists {
  /** The zones of this node only, for __GFP_THISNODE. */
  thisNode: readonly Zone[] = [];
  /** Called when the fallback list changes: the allocator then drops the zones it has cached. */
  onChange: () => void = () => {};
  #fallback: readonly Zone[] = [];

  /** The zones of all nodes, the nearest node first, each from its highest zone down. */
  get fallback(): readonly Zone[] {
    return this.#fallback;
  }

  set fallback(zones: readonly Zone[]) {
    this.#fallback = zones;
    this.onChange();
  }
}

export class MemoryNode {
  readonly id: NodeId;
  readonly cpus: readonly number[];
  /** Indexed by ZoneType. */
  readonly zones: readonly Zone[];
  readonly zonelists: Zonelists = new Zonelists();
  /** Whether the node is in /sys. A node without CPUs goes offline with its last memory block. */
  online = false;
  /** Whether the node had memory when the zonelists were last built. @see N_MEMORY in include/linux/nodemask.h */
  hasMemory = false;
  startPfn: Pfn = 0 as Pfn;
  spannedPages = 0;
  /** Indexed by NodeStat. */
  readonly stat: Float64Array = new Float64Array(NODE_STATS.length);

  constructor(id: NodeId, cpus: readonly number[], zones: readonly Zone[]) {
    this.id = id;
    this.cpus = cpus;
    this.zones = zones;
  }

  get endPfn(): Pfn {
    return (this.startPfn + this.spannedPages) as Pfn;
  }

  get presentPages(): number {
    return this.zones.reduce((sum, zone) => sum + zone.presentPages, 0);
  }

  get managedPages(): number {
    return this.zones.reduce((sum, zone) => sum + zone.managedPages, 0);
  }

  /** The sum of a counter over the node's zones. @param item a ZoneStat */
  sumZoneStat(item: number): number {
    return this.zones.reduce((sum, zone) => sum + (zone.stat[item] ?? 0), 0);
  }
}
