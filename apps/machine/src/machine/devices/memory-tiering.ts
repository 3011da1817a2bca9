// How slow the memory of each node is, and /sys/devices/virtual/memory_tiering, which shows it. A tier is named after the
// chunk of abstract distances that its nodes fall into. Kernel counterpart: mm/memory-tiers.c.
import type { NodeMemoryTypes } from "@hetmem/dax-kmem";
import { formatIdList, type NodeId } from "@hetmem/kernel";
import type { MemoryTiers } from "@hetmem/mm";
import type { AttributeTable, Params } from "@hetmem/vfs";
import { devicePowerFiles, type MemoryNode } from "@hetmem/zone";

const ADISTANCE_DRAM = 576;
const ADISTANCE_SLOW = 5 * ADISTANCE_DRAM;
/** Nodes whose distances fall into the same chunk are of one tier. @see MEMTIER_CHUNK_SIZE */
const CHUNK_SIZE = 128;

/** A tier with memory. */
export interface MemoryTier {
  /** The number in its name. */
  readonly id: number;
  readonly nodes: readonly NodeId[];
}

export class MemoryTypes implements NodeMemoryTypes {
  readonly #tiers: MemoryTiers;
  readonly #adistances = new Map<NodeId, number>();

  constructor(tiers: MemoryTiers) {
    this.#tiers = tiers;
  }

  setAdistance(node: NodeId, adistance: number): void {
    this.#adistances.set(node, adistance);
    this.#tiers.setAdistance(node, adistance);
  }

  clearAdistance(node: NodeId): void {
    this.#adistances.delete(node);
    this.#tiers.clearAdistance(node);
  }

  /** The tiers, the fastest first. */
  tiers(): MemoryTier[] {
    return this.#tiers.tiers.flatMap((nodes) => {
      const [first] = nodes;
      return first ? [{ id: tierOf(this.#adistance(first)), nodes: nodes.map(({ id }) => id) }] : [];
    });
  }

  #adistance({ id, cpus }: MemoryNode): number {
    return this.#adistances.get(id) ?? (cpus.length > 0 ? ADISTANCE_DRAM : ADISTANCE_SLOW);
  }
}

/** The number of the tier that memory of this abstract distance is of. */
export function tierOf(adistance: number): number {
  return Math.floor(adistance / CHUNK_SIZE);
}

export function memoryTieringTable(types: MemoryTypes): AttributeTable {
  const nodesOf = ({ tier }: Params): readonly NodeId[] =>
    types.tiers().find(({ id }) => `${id}` === tier)?.nodes ?? [];
  return {
    root: "/sys/devices/virtual/memory_tiering",
    instances: { tier: () => types.tiers().map(({ id }) => `${id}`) },
    files: {
      uevent: { show: () => "", store: () => {} },
      ...devicePowerFiles(""),
      "memory_tier{tier}/nodelist": { show: (params) => `${formatIdList(nodesOf(params))}\n` },
      "memory_tier{tier}/uevent": { show: () => "", store: () => {} },
      ...devicePowerFiles("memory_tier{tier}/"),
    },
    links: { "memory_tier{tier}/subsystem": () => "../../../../bus/memory_tiering" },
  };
}
