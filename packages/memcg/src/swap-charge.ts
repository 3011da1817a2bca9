// Charges for swap slots. A slot is charged to the cgroup of the swapped-out page, or to its nearest online ancestor:
// a removed cgroup gets no new charges. Kernel counterpart: __mem_cgroup_try_charge_swap() in mm/memcontrol.c.
import type { Page } from "@hetmem/kernel";
import { NOBODY } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import { CgroupItem } from "./stat/items.ts";

/**
 * Charges a slot for a page.
 *
 * @returns false when memory.swap.max of a cgroup refuses it
 * @see __mem_cgroup_try_charge_swap()
 */
export function recordSwapCharge(cgroups: MemoryCgroups, page: Page, device: number, slot: number): boolean {
  const owner = cgroups.ofPage(page);
  if (!owner) return true;
  const payer = owner.onlineOrAbove;
  if (!payer.isRoot && payer.swap.tryCharge(1) !== undefined) {
    cgroups.overLimit.swapRefused(payer, refusing(payer));
    return false;
  }
  const { slots } = cgroups.ids;
  cgroups.swapOwners.record(device, slot, payer.id, cgroups.vm.swap.slotsOf(device));
  slots[payer.id] = (slots[payer.id] as number) + 1;
  cgroups.stats.add(payer.id, CgroupItem.swap, 1);
  return true;
}

/** Uncharges a freed slot. @see __mem_cgroup_uncharge_swap() */
export function recordSwapUncharge(cgroups: MemoryCgroups, device: number, slot: number): void {
  const id = cgroups.swapOwners.release(device, slot);
  if (id === NOBODY) return;
  const { ids } = cgroups;
  const payer = ids.cgroup(id);
  ids.slots[id] = (ids.slots[id] as number) - 1;
  cgroups.stats.add(id, CgroupItem.swap, -1);
  if (!payer.isRoot) payer.swap.uncharge(1);
  cgroups.freeIfUnused(payer);
}

function refusing(cgroup: MemoryCgroup): MemoryCgroup | undefined {
  for (const at of cgroup.upwards()) if (at.swap.usage >= at.swap.max) return at;
  return undefined;
}
