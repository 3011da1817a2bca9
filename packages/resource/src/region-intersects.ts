// Whether a range holds resources of one kind, of others, or both. memremap() and memory hotplug check this before
// they map or add memory. Kernel counterpart: region_intersects() in kernel/resource.c.
import { IORES_DESC_NONE, type IoresDesc } from "./flags.ts";
import { descendants, firstChildFrom, type Resource } from "./resource.ts";

/** No resource of the kind is in the range. */
export const REGION_DISJOINT = "REGION_DISJOINT";
/** Only resources of the kind, and possibly holes, are in the range. */
export const REGION_INTERSECTS = "REGION_INTERSECTS";
/** Resources of the kind and of others are in the range. */
export const REGION_MIXED = "REGION_MIXED";

export type RegionIntersection = typeof REGION_DISJOINT | typeof REGION_INTERSECTS | typeof REGION_MIXED;

/**
 * Compares a range with the resources of a kind. Descendants of a resource of another kind are checked in its place:
 * RAM under a CXL window counts as RAM, and only the rest of the window as another kind.
 *
 * @param start first byte
 * @param size bytes
 * @param flags flags that a resource of the kind has all of
 * @param desc descriptor of the kind, or IORES_DESC_NONE for any
 * @see region_intersects() in kernel/resource.c
 * @see b4afe4183ec7: descendants are checked too
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

/** Whether descendants of the kind cover some of a range, and whether they cover all of it. */
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
