// Demotion: reclaim moves cold pages of a fast node to a slower one instead of evicting them. Reclaim calls this with
// the pages it has isolated and would evict.
// Kernel counterpart: demote_folio_list() in mm/vmscan.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, VmEvent } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages } from "./migrate-pages.ts";
import { type MigrationTarget, migrationTarget } from "./migration-target.ts";

/** Counter in /proc/vmstat, by the task that demotes. */
export type DemotionCounter = "pgdemote_kswapd" | "pgdemote_direct";

/** Without direct reclaim: demotion is a part of reclaim, and must not wait for more of it. */
const GFP_DEMOTE = (GFP_HIGHUSER_MOVABLE & ~Gfp.DIRECT_RECLAIM) | Gfp.NOWARN | Gfp.NOMEMALLOC;

/**
 * Whether reclaim may demote pages of a node: demotion is enabled and there is a slower node.
 *
 * @see can_demote() in mm/vmscan.c
 */
export function canDemote(vm: Vm, node: NodeId): boolean {
  return vm.tunables.demotionEnabled && vm.tiers.allowedTargets(node).length > 0;
}

/**
 * Migrates isolated pages of a node to a slower one.
 *
 * @param node node of the pages
 * @param counter counter that the demoted pages are added to
 * @returns the pages that stayed, still isolated, for reclaim to evict
 * @see demote_folio_list()
 */
export function* demotePages(
  vm: Vm,
  pages: readonly Page[],
  node: NodeId,
  counter: DemotionCounter,
): Sleeps<Page[]> {
  const next = pages.length > 0 ? vm.tiers.nextDemotionNode(node) : undefined;
  if (next === undefined) return [...pages];
  const target = demotionTarget(vm, next, vm.tiers.allowedTargets(node));
  const { migrated, failed } = yield* migratePages(
    vm,
    pages,
    target,
    MigrateMode.Async,
    MigrateReason.Demotion,
  );
  vm.memory.allocator.countEvent(VmEvent[counter], migrated);
  return failed.map(({ page }) => page);
}

/**
 * Allocates on the preferred slower node, and wakes its kswapd; if that node is full, on any other allowed one.
 *
 * @see alloc_demote_page()
 */
function demotionTarget(vm: Vm, next: NodeId, allowed: readonly NodeId[]): MigrationTarget {
  const first = migrationTarget(vm, { node: next, gfp: GFP_DEMOTE | Gfp.THISNODE });
  const others = migrationTarget(vm, { node: next, allowed, gfp: GFP_DEMOTE });
  const tryAlloc = (page: Page): Page => {
    const found = first.tryAlloc(page);
    return found === NULL_PAGE ? others.tryAlloc(page) : found;
  };
  return {
    tryAlloc,
    *alloc(page) {
      return tryAlloc(page);
    },
  };
}
