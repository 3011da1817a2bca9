// The cgroup id of each swap slot: two bytes per slot, allocated for devices with charged slots. Kernel counterpart:
// mm/swap_cgroup.c.
import { hostArray } from "@hetmem/page";
import { NOBODY } from "./cgroup-ids.ts";

export class SwapOwners {
  /** Ids of slots, by device. */
  private readonly slots: (Uint16Array | undefined)[] = [];

  /** @see lookup_swap_cgroup_id() */
  owner(device: number, slot: number): number {
    return this.slots[device]?.[slot] ?? NOBODY;
  }

  /** Records the id of a slot. @param deviceSlots number of slots of the device @see swap_cgroup_record() */
  record(device: number, slot: number, id: number, deviceSlots: number): void {
    const known = this.slots[device];
    // The device number may have been reused by another device after swapoff, with all slots free.
    const owners =
      known?.length === deviceSlots ? known : hostArray(Uint16Array, deviceSlots, "cgroups of swap slots");
    this.slots[device] = owners;
    owners[slot] = id;
  }

  /** Clears the id of a slot. @returns the old id */
  release(device: number, slot: number): number {
    const owners = this.slots[device];
    const id = owners?.[slot] ?? NOBODY;
    if (owners !== undefined && id !== NOBODY) owners[slot] = NOBODY;
    return id;
  }

  /** All charged slots. */
  *paid(): Generator<{ device: number; slot: number; id: number }, void, void> {
    for (const [device, owners] of this.slots.entries())
      for (const [slot, id] of owners?.entries() ?? []) if (id !== NOBODY) yield { device, slot, id };
  }
}
