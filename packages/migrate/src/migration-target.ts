// Where pages go: what gives a migration a page for the contents of another. Kernel counterpart:
// alloc_migration_target() in mm/migrate.c, struct migration_target_control in mm/internal.h.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, ZoneType } from "@hetmem/zone";

/** Gives pages with one reference, on no list, charged to nobody: the old page's charge goes along. @see new_page_t */
export interface MigrationTarget {
  /** @returns NULL_PAGE when there is none without waiting */
  tryAlloc(page: Page): Page;
  /** The same with reclaim. @returns NULL_PAGE when that has not helped: the migration ends with ENOMEM */
  alloc(page: Page): Sleeps<Page>;
}

/** @see struct migration_target_control */
export interface MigrationTargetControl {
  /** Go there, or as near as possible; absent: near where the page is. */
  readonly node?: NodeId;
  /** The only nodes that will do; every node where absent. @see nmask */
  readonly allowed?: readonly NodeId[];
  readonly gfp: number;
}

/** Pages for one after another, as a control says. @see alloc_migration_target() */
export function migrationTarget(vm: Vm, control: MigrationTargetControl): MigrationTarget {
  return control.allowed ? new TargetOnNodes(vm, control, control.allowed) : new TargetNear(vm, control);
}

/** Near a node, or near the page: wherever the zonelist leads. */
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

/** The allocator knows one node or all: so each allowed one is asked alone, the nearest first. */
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

/** A page of a movable zone may go to one again. */
function gfpFor({ memmap }: Vm, page: Page, gfp: number): number {
  return memmap.zoneOf(page) === ZoneType.Movable ? gfp | Gfp.HIGHMEM : gfp;
}
