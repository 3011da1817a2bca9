// Putting a resource into a tree that is already there. Firmware tables, buses and late-found windows describe ranges
// in no particular order, so a resource may be inserted above others: those that fit inside become its children.
// Kernel counterpart: the insert, adjust and reserve functions of kernel/resource.c.
import { bugOn, KernelError, physAddr } from "@hetmem/kernel";
import { IORES_DESC_NONE, IORESOURCE_BUSY, IORESOURCE_TYPE_BITS } from "./flags.ts";
import { busy, requestResource, requestResourceConflict } from "./request.ts";
import { firstChildFrom, hex, Resource } from "./resource.ts";

/**
 * Places a resource under a parent, or inside whatever there holds it whole; what it holds whole goes inside it.
 * Of two equal ranges the later one is the parent.
 *
 * @throws KernelError EBUSY that names what it overlaps in part
 * @see insert_resource() in kernel/resource.c
 */
export function insertResource(parent: Resource, resource: Resource): void {
  const conflict = insertResourceConflict(parent, resource);
  if (conflict) throw busy(resource, conflict, parent);
}

/**
 * The same for callers that go on after a conflict.
 *
 * @returns nothing when it is placed; else what it overlaps in part, or the parent when the range leaves it
 * @see insert_resource_conflict() in kernel/resource.c
 */
export function insertResourceConflict(parent: Resource, resource: Resource): Resource | undefined {
  let inside = parent;
  // Ends: each turn is a level deeper in the tree.
  for (;;) {
    const first = requestResourceConflict(inside, resource);
    if (!first || first === inside) return first;
    const holdsAll = first.contains(resource.start, resource.end);
    if (!holdsAll || first.size === resource.size) return adoptOverlapped(inside, resource);
    inside = first;
  }
}

/**
 * Inserts a resource, and makes it larger until nothing overlaps it in part.
 *
 * @throws KernelError EBUSY when it can't fit inside the tree; its range is then what it was
 * @see insert_resource_expand_to_fit() in kernel/resource.c
 */
export function insertResourceExpandToFit(root: Resource, resource: Resource): void {
  if (resource.parent) return;
  // Ends: each turn makes the resource larger, by one that is in the tree.
  for (;;) {
    const conflict = insertResourceConflict(root, resource);
    if (!conflict) return;
    // Only a range that leaves the tree from the start does: what it grows over lies inside.
    if (conflict === root) throw busy(resource, root, root);
    resource.start = physAddr(Math.min(resource.start, conflict.start));
    resource.end = physAddr(Math.max(resource.end, conflict.end));
  }
}

/**
 * Moves the ends of a resource. Its children stay where they are and must still fit.
 *
 * @param size bytes
 * @throws KernelError EBUSY that names the parent, sibling or child that doesn't allow it
 * @see adjust_resource() in kernel/resource.c
 */
export function adjustResource(resource: Resource, start: number, size: number): void {
  const end = start + size - 1;
  const range = `[0x${hex(start, 8)}-0x${hex(end, 8)}]`;
  const obstacle = obstacleTo(resource, start, end);
  if (obstacle)
    throw new KernelError("EBUSY", `${resource} cannot become ${range}: ${obstacle} is in the way`);
  resource.start = physAddr(start);
  resource.end = physAddr(end);
}

/**
 * Makes whatever is still free of a range busy, in as many pieces as it takes.
 *
 * @param end last byte
 * @returns the pieces
 * @see reserve_region_with_split() in kernel/resource.c
 */
export function reserveRegionWithSplit(root: Resource, start: number, end: number, name: string): Resource[] {
  const flags = (root.flags & IORESOURCE_TYPE_BITS) | IORESOURCE_BUSY;
  const pieces: Resource[] = [];
  let at = Math.max(start, root.start);
  const last = Math.min(end, root.end);
  const addPiece = (pieceEnd: number): void => {
    if (pieceEnd >= at)
      pieces.push(new Resource({ name, start: at, end: pieceEnd, flags, desc: IORES_DESC_NONE }));
  };
  for (const taken of root.children.slice(firstChildFrom(root, at))) {
    if (taken.start > last) break;
    addPiece(taken.start - 1);
    at = taken.end + 1;
  }
  addPiece(last);
  for (const piece of pieces) requestResource(root, piece);
  return pieces;
}

/** Puts a resource in the place of the siblings that it covers. @returns the one that it covers in part, if any */
function adoptOverlapped(parent: Resource, resource: Resource): Resource | undefined {
  bugOn(resource.children.length > 0, `${resource} has children of its own and cannot take others`);
  const from = firstChildFrom(parent, resource.start);
  let to = from;
  for (let child = parent.children[to]; child && child.start <= resource.end; child = parent.children[++to]) {
    if (!resource.contains(child.start, child.end)) return child;
  }
  resource.children = parent.children.splice(from, to - from, resource);
  for (const child of resource.children) child.parent = resource;
  resource.parent = parent;
  return undefined;
}

/** What keeps a resource from having another range. */
function obstacleTo(resource: Resource, start: number, end: number): Resource | undefined {
  const { parent } = resource;
  if (parent) {
    if (end < start || !parent.contains(start, end)) return parent;
    const at = parent.children.indexOf(resource);
    const before = parent.children[at - 1];
    const after = parent.children[at + 1];
    if (before && before.end >= start) return before;
    if (after && after.start <= end) return after;
  }
  return resource.children.find((child) => child.start < start || child.end > end);
}
