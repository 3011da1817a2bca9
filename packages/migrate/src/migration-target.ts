// Allocation of the new pages of a migration: on one node, near the old page, or on a set of nodes. The caller of
// migratePages() chooses. Kernel counterpart: alloc_migration_target() in mm/migrate.c, struct migration_target_control
// in mm/internal.h.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, ZoneType } from "@hetmem/zone";

/**
 * An allocator of new pages. Each has one reference, is on no list and isn't charged: the charge of the old page is
 * moved to it.
 *
 * @see new_page_t
 */
export interface MigrationTarget {
  /**
   * Allocates without waiting.
   *
   * @param page the old page
   * @returns NULL_PAGE if no page is free
   */
  tryAlloc(page: Page): Page;
  /**
   * Allocates with reclaim.
   *
   * @param page the old page
   * @returns NULL_PAGE if reclaim frees none: the migration ends with ENOMEM
   */
  alloc(page: Page): Sleeps<Page>;
}

/** Choice of the nodes of new pages. @see struct migration_target_control */
export interface MigrationTargetControl {
  /** Preferred node; absent: the node of the old page. */
  readonly node?: NodeId;
  /** Nodes that may be used; absent: all. @see nmask */
  readonly allowed?: readonly NodeId[];
  /** Gfp flags. */
  readonly gfp: number;
}

/** Makes an allocator of new pages. @see alloc_migration_target() */
export function migrationTarget(vm: Vm, control: MigrationTargetControl): MigrationTarget {
  return control.allowed ? new TargetOnNodes(vm, control, control.allowed) : new TargetNear(vm, control);
}

/** Allocates by the zonelist of a node, or of the old page's node. */
class TargetNear implements MigrationTarget {
  private readonly vm: Vm;
  private readonly node: NodeId | undefined;
  private readonly gfp: number;

  constructor(vm: Vm, { node, gfp }: MigrationTargetControl) {
    this.vm = vm;
    this.node = node;
    this.gfp = gfp;
  }

  tryAlloc(page: Page): Page {
    const gfp = gfpFor(this.vm, page, this.gfp);
    return this.vm.pages.tryAlloc(gfp, 0, this.node ?? this.vm.memmap.nodeOf(page), undefined);
  }

  *alloc(page: Page): Sleeps<Page> {
    const gfp = gfpFor(this.vm, page, this.gfp);
    if ((gfp & Gfp.DIRECT_RECLAIM) === 0) return NULL_PAGE as Page;
    return yield* this.vm.pages.alloc(gfp, 0, this.node ?? this.vm.memmap.nodeOf(page), undefined);
  }
}

/**
 * Allocates on some nodes, nearest first. The allocator takes one node or all, so that each node is tried on its own.
 */
class TargetOnNodes implements MigrationTarget {
  private readonly vm: Vm;
  private readonly gfp: number;
  private readonly allowed: readonly NodeId[];

  constructor(vm: Vm, { node, gfp }: MigrationTargetControl, allowed: readonly NodeId[]) {
    this.vm = vm;
    this.gfp = gfp;
    const near = (id: NodeId): number => (node === undefined ? 0 : vm.memory.distance(node, id));
    this.allowed = allowed.toSorted((a, b) => near(a) - near(b));
  }

  tryAlloc(page: Page): Page {
    const gfp = gfpFor(this.vm, page, this.gfp) | Gfp.THISNODE;
    for (const node of this.allowed) {
      const fresh = this.vm.pages.tryAlloc(gfp, 0, node, undefined);
      if (fresh !== NULL_PAGE) return fresh;
    }
    return NULL_PAGE as Page;
  }

  *alloc(page: Page): Sleeps<Page> {
    const gfp = gfpFor(this.vm, page, this.gfp);
    const nearest = this.allowed[0];
    if (nearest === undefined || (gfp & Gfp.DIRECT_RECLAIM) === 0) return NULL_PAGE as Page;
    return yield* this.vm.pages.alloc(gfp, 0, nearest, undefined, this.allowed);
  }
}

/** Allows ZONE_MOVABLE for the new page if the old one is there. */
function gfpFor({ memmap }: Vm, page: Page, gfp: number): number {
  return memmap.zoneOf(page) === ZoneType.Movable ? gfp | Gfp.HIGHMEM : gfp;
}
