// A NUMA node: its zones, the order in which others help it out, and what is counted for it. Kernel counterpart:
// struct pglist_data in include/linux/mmzone.h.
import type { NodeId, Pfn } from "@hetmem/kernel";
import { NODE_STATS } from "./vmstat.ts";
import type { Zone } from "./zone.ts";

/** Zones in the order in which a request tries them. @see struct zonelist */
export class Zonelists {
  /** This node alone: __GFP_THISNODE. */
  thisNode: readonly Zone[] = [];
  /** Called when the lists change: the allocator remembers where it found pages. */
  onChange: () => void = () => {};
  #fallback: readonly Zone[] = [];

  /** Every node, the nearest first, each from its highest zone down. */
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
  /** By ZoneType. */
  readonly zones: readonly Zone[];
  readonly zonelists: Zonelists = new Zonelists();
  /** Whether it is in /sys. A node goes offline with its last block. */
  online = false;
  /** Whether it counted as a node with memory when the zonelists were last built. @see N_MEMORY in include/linux/nodemask.h */
  hasMemory = false;
  startPfn: Pfn = 0 as Pfn;
  spannedPages = 0;
  /** By NodeStat. */
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

  /** A counter of the node's zones, added up. */
  sumZoneStat(item: number): number {
    return this.zones.reduce((sum, zone) => sum + (zone.stat[item] ?? 0), 0);
  }
}
