// The parts that the migrate package gives to a machine: memory tiers, demotion along them, and NUMA balancing, which migrates
// a page to the node that uses it. Kernel counterparts: mm/memory-tiers.c, demote_folio_list() in mm/vmscan.c,
// migrate_misplaced_page() in mm/migrate.c.
import type { VmParts } from "@hetmem/mm";
import { TierDemotion } from "./demotion.ts";
import { AdistanceTiers } from "./memory-tiers.ts";
import { NumaBalancing } from "./numa-balancing.ts";

/** Parts of a machine; spread them into the options of Vm. */
export const migrateParts: Required<Pick<VmParts, "tiers" | "demotion" | "promotion">> = {
  tiers: (vm) => new AdistanceTiers(vm.memory),
  demotion: (vm) => new TierDemotion(vm),
  promotion: () => new NumaBalancing(),
};
