// The cgroup that an attribution is about and those below it, as a table by cgroup id. Pages and swap slots carry ids, so
// that a lookup by array answers for each of them. Kernel counterpart: mem_cgroup_is_descendant().
import type { MemoryCgroup, MemoryCgroups } from "@hetmem/memcg";

export class CgroupScope {
  /** Parents before their children. */
  readonly cgroups: readonly MemoryCgroup[];
  /** Swap slots charged to the cgroups of the scope. */
  readonly swapSlots: number;
  private readonly memcgs: MemoryCgroups;
  /** By cgroup id: 1 inside the scope. */
  private readonly inside: Uint8Array;

  constructor(memcgs: MemoryCgroups, top: MemoryCgroup) {
    this.memcgs = memcgs;
    this.cgroups = [...top.subtree()];
    this.inside = new Uint8Array(memcgs.ids.end);
    const members = new Set(this.cgroups);
    let slots = 0;
    for (let id = 1; id < this.inside.length; id++) {
      const owner = memcgs.ids.find(id);
      if (!owner || !members.has(owner)) continue;
      this.inside[id] = 1;
      slots += memcgs.ids.slots[id] as number;
    }
    this.swapSlots = slots;
  }

  /** Whether a charge with this cgroup id is inside the scope. */
  pays(id: number): boolean {
    return this.inside[id] === 1;
  }

  paysForPage(page: number): boolean {
    return this.inside[this.memcgs.owners[page] as number] === 1;
  }

  paysForSlot(device: number, slot: number): boolean {
    return this.inside[this.memcgs.swapOwners.owner(device, slot)] === 1;
  }
}
