// The cgroup that is asked about and those below it, as a table by the ids that pages and swap slots carry.
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

export class CgroupScope {
  /** Parents before their children. */
  readonly cgroups: readonly MemoryCgroup[];
  /** Slots that they pay for. */
  readonly swapSlots: number;
  private readonly memcgs: MemoryCgroups;
  /** By id: 1 for those of the scope. */
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

  /** Whether something that carries an id is paid for here. */
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
