// Is a range of a kind, of another kind, or of both? memremap() asks this before it maps anything, and memory hotplug
// before it adds. Kernel counterpart: region_intersects() in kernel/resource.c.
import { IORES_DESC_NONE, type IoresDesc } from "./flags.ts";
import { descendants, firstChildFrom, type Resource } from "./resource.ts";

/** No resource of the kind is in the range. */
export const REGION_DISJOINT = "REGION_DISJOINT";
/** Nothing but resources of the kind, and perhaps holes, are in the range. */
export const REGION_INTERSECTS = "REGION_INTERSECTS";
/** Resources of the kind and others are in the range. */
export const REGION_MIXED = "REGION_MIXED";

export type RegionIntersection = typeof REGION_DISJOINT | typeof REGION_INTERSECTS | typeof REGION_MIXED;

/**
 * How a range meets the resources of a kind. Where a resource isn't of the kind, what lies in it counts as cut out of
 * it: RAM under a CXL window is RAM, and the rest of the window is something else.
 *
 * @param size bytes
 * @param flags all of which a resource of the kind has
 * @param desc which it has, or IORES_DESC_NONE for any
 * @see region_intersects() in kernel/resource.c
 * @see b4afe4183ec7: what lies in a resource is looked at too
 */
export function regionIntersects(
  parent: Resource,
  start: number,
  size: number,
  flags: number,
  desc: IoresDesc = IORES_DESC_NONE,
): RegionIntersection {
  const end = start + size - 1;
  let ofKind = false;
  let ofOther = false;
  for (let at = firstChildFrom(parent, start); at < parent.children.length; at++) {
    const child = parent.children[at];
    if (!child || child.start > end) break;
    if (child.matches(flags, desc)) {
      ofKind = true;
      continue;
    }
    const inside = matchesInside(child, Math.max(start, child.start), Math.min(end, child.end), flags, desc);
    if (inside.some) ofKind = true;
    if (!inside.all) ofOther = true;
  }
  if (!ofKind) return REGION_DISJOINT;
  return ofOther ? REGION_MIXED : REGION_INTERSECTS;
}

/** Whether some of a range, and whether all of it, is of the kind below a resource that isn't. */
function matchesInside(
  resource: Resource,
  start: number,
  end: number,
  flags: number,
  desc: IoresDesc,
): { readonly some: boolean; readonly all: boolean } {
  let some = false;
  let uncoveredFrom = start;
  for (const inner of descendants(resource)) {
    if (!inner.overlaps(start, end) || !inner.matches(flags, desc)) continue;
    some = true;
    if (inner.start > uncoveredFrom) break;
    if (inner.end >= end) return { some, all: true };
    uncoveredFrom = Math.max(uncoveredFrom, inner.end + 1);
  }
  return { some, all: false };
}
