// Insertion into a populated tree. Firmware tables, buses and hotplugged windows describe ranges in no particular
// order, so a resource may be inserted above existing ones: those that fit inside become its children. Kernel
// counterpart: the insert, adjust and reserve functions of kernel/resource.c.
import { bugOn, KernelError, physAddr } from "@hetmem/kernel";
import { IORES_DESC_NONE, IORESOURCE_BUSY, IORESOURCE_TYPE_BITS } from "./flags.ts";
import { busy, requestResource, requestResourceConflict } from "./request.ts";
import { firstChildFrom, hex, Resource } from "./resource.ts";

/**
 * Inserts a resource under `parent`, at the deepest descendant that contains its range. Existing resources inside the
 * range become its children. Of two equal ranges the one inserted later is the parent.
 *
 * @throws KernelError EBUSY that names the resource it overlaps partially
 * @see insert_resource() in kernel/resource.c
 */
export function insertResource(parent: Resource, resource: Resource): void {
  const conflict = insertResourceConflict(parent, resource);
  if (conflict) throw busy(resource, conflict, parent);
}

/**
 * insertResource() for callers that go on after a conflict.
 *
 * @returns undefined when the resource was inserted; else the resource that it overlaps partially, or `parent` when
 * the range doesn't lie inside it
 * @see insert_resource_conflict() in kernel/resource.c
 */
export function insertResourceConflict(parent: Resource, resource: Resource): Resource | undefined {
  let inside = parent;
  // Ends: each turn descends one level of the tree.
  for (;;) {
    const first = requestResourceConflict(inside, resource);
    if (!first || first === inside) return first;
    const holdsAll = first.contains(resource.start, resource.end);
    if (!holdsAll || first.size === resource.size) return adoptOverlapped(inside, resource);
    inside = first;
  }
}

/**
 * Inserts a resource, widening its range until no other resource overlaps it partially.
 *
 * @throws KernelError EBUSY when the range doesn't fit into the tree; the resource then keeps its range
 * @see insert_resource_expand_to_fit() in kernel/resource.c
 */
export function insertResourceExpandToFit(root: Resource, resource: Resource): void {
  if (resource.parent) return;
  // Ends: each turn covers one more resource of the tree.
  for (;;) {
    const conflict = insertResourceConflict(root, resource);
    if (!conflict) return;
    // Only the range as passed can leave the tree: the resources that widen it lie inside the tree.
    if (conflict === root) throw busy(resource, root, root);
    resource.start = physAddr(Math.min(resource.start, conflict.start));
    resource.end = physAddr(Math.max(resource.end, conflict.end));
  }
}

/**
 * Moves the ends of a resource. Its children stay where they are and must still fit.
 *
 * @param size bytes
 * @throws KernelError EBUSY that names the parent, sibling or child in the way
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
 * Reserves the free parts of a range with busy resources, one per part.
 *
 * @param start first byte
 * @param end last byte
 * @returns the new resources
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

/**
 * Replaces the siblings inside a resource's range by the resource.
 *
 * @returns a sibling that the range overlaps partially, if any
 */
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

/** The parent, sibling or child that conflicts with a new range of a resource. */
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
