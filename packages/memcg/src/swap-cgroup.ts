// Who pays for each swap slot: two bytes a slot, of devices that cgroups use. Kernel counterpart: mm/swap_cgroup.c.
import { hostArray } from "@hetmem/page";
import { NOBODY } from "./cgroup-ids.ts";

export class SwapOwners {
  /** By device. */
  private readonly slots: (Uint16Array | undefined)[] = [];

  /** @see lookup_swap_cgroup_id() */
  owner(device: number, slot: number): number {
    return this.slots[device]?.[slot] ?? NOBODY;
  }

  /** Notes who pays for a slot. @param deviceSlots slots that the device has @see swap_cgroup_record() */
  record(device: number, slot: number, id: number, deviceSlots: number): void {
    const known = this.slots[device];
    // Another device may have come under the number of one that went, with all its slots free.
    const owners =
      known?.length === deviceSlots ? known : hostArray(Uint16Array, deviceSlots, "cgroups of swap slots");
    this.slots[device] = owners;
    owners[slot] = id;
  }

  /** Nobody pays for a slot any more. @returns who did */
  release(device: number, slot: number): number {
    const owners = this.slots[device];
    const id = owners?.[slot] ?? NOBODY;
    if (owners !== undefined && id !== NOBODY) owners[slot] = NOBODY;
    return id;
  }

  /** Slots that somebody pays for. */
  *paid(): Generator<{ device: number; slot: number; id: number }, void, void> {
    for (const [device, owners] of this.slots.entries())
      for (const [slot, id] of owners?.entries() ?? []) if (id !== NOBODY) yield { device, slot, id };
  }
}
