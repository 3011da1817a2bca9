// Demotion: reclaim moves cold pages of a fast node to a slower one instead of evicting them. Reclaim calls the port
// Demotion of mm with the pages it has isolated and would evict; TierDemotion implements it.
// Kernel counterpart: demote_folio_list() in mm/vmscan.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import type { Demotion, DemotionCounter } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, VmEvent } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages } from "./migrate-pages.ts";
import { type MigrationTarget, migrationTarget } from "./migration-target.ts";

/** Nodes that pages are demoted to. */
export interface DemotionTargets {
  /** Node that is tried first, and whose kswapd is woken when it is full. */
  readonly next: NodeId;
  /** Nodes that are tried afterwards. */
  readonly allowed: readonly NodeId[];
}

/** Without direct reclaim: demotion is a part of reclaim, and must not wait for more of it. */
const GFP_DEMOTE = (GFP_HIGHUSER_MOVABLE & ~Gfp.DIRECT_RECLAIM) | Gfp.NOWARN | Gfp.NOMEMALLOC;

/** Demotion along the memory tiers of a machine, while /sys/kernel/mm/numa/demotion_enabled allows it. */
export class TierDemotion implements Demotion {
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** Whether demotion is enabled and there is a slower node. @see can_demote() in mm/vmscan.c */
  canDemote(node: NodeId): boolean {
    const { tiers, tunables } = this.vm;
    return tunables.demotionEnabled && tiers.allowedTargets(node).length > 0;
  }

  *demotePages(pages: readonly Page[], node: NodeId, counter: DemotionCounter): Sleeps<readonly Page[]> {
    const { tiers } = this.vm;
    const next = pages.length > 0 ? tiers.nextDemotionNode(node) : undefined;
    if (next === undefined) return pages;
    return yield* demotePagesTo(this.vm, pages, { next, allowed: tiers.allowedTargets(node) }, counter);
  }
}

/**
 * Migrates isolated pages to given nodes, without waiting: the work of a demotion, whatever chose the nodes.
 *
 * @param counter counter that the demoted pages are added to
 * @returns the pages that stayed, still isolated
 * @see demote_folio_list()
 */
export function* demotePagesTo(
  vm: Vm,
  pages: readonly Page[],
  targets: DemotionTargets,
  counter: DemotionCounter,
): Sleeps<readonly Page[]> {
  const { migrated, failed } = yield* migratePages(
    vm,
    pages,
    demotionTarget(vm, targets),
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
function demotionTarget(vm: Vm, { next, allowed }: DemotionTargets): MigrationTarget {
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
