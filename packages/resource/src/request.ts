// Asking for a range and giving it back. What is asked for must be free: the first resource that is in the way is the
// conflict, and the caller hears its name. A region is asked for by its user, and may lie inside a resource that
// nobody has marked busy. Kernel counterpart: the request and release functions of kernel/resource.c.
import { bugOn, KernelBug, KernelError } from "@hetmem/kernel";
import {
  IORES_DESC_DEVICE_PRIVATE_MEMORY,
  IORESOURCE_BUSY,
  IORESOURCE_EXT_TYPE_BITS,
  IORESOURCE_TYPE_BITS,
} from "./flags.ts";
import { firstChildFrom, hex, Resource } from "./resource.ts";

/**
 * Places a resource directly under a parent.
 *
 * @throws KernelError EBUSY that names what is in the way, or the parent when the range leaves it
 * @see request_resource() in kernel/resource.c
 */
export function requestResource(parent: Resource, resource: Resource): void {
  const conflict = requestResourceConflict(parent, resource);
  if (conflict) throw busy(resource, conflict, parent);
}

/**
 * The same for callers that go on after a conflict.
 *
 * @returns nothing when it is placed; else the sibling in the way, or the parent when the range leaves it
 * @see request_resource_conflict() in kernel/resource.c
 */
export function requestResourceConflict(parent: Resource, resource: Resource): Resource | undefined {
  bugOn(resource.parent !== undefined, `${resource} is in a tree already`);
  if (resource.end < resource.start || !parent.contains(resource.start, resource.end)) return parent;
  const at = firstChildFrom(parent, resource.start);
  const next = parent.children[at];
  if (next && next.start <= resource.end) return next;
  parent.children.splice(at, 0, resource);
  resource.parent = parent;
  return undefined;
}

/**
 * Takes a resource out of the tree, with all that lies in it.
 *
 * @throws KernelError EINVAL when it is in no tree
 * @see release_resource() in kernel/resource.c
 */
export function releaseResource(resource: Resource): void {
  const siblings = siblingsOf(resource);
  siblings.splice(siblings.indexOf(resource), 1);
  resource.parent = undefined;
}

/**
 * Takes a resource out of the tree and leaves what lies in it to its parent: the reverse of insertResource().
 *
 * @throws KernelError EINVAL when it is in no tree
 * @see remove_resource() in kernel/resource.c
 */
export function removeResource(resource: Resource): void {
  const siblings = siblingsOf(resource);
  const orphans = resource.children;
  for (const child of orphans) child.parent = resource.parent;
  siblings.splice(siblings.indexOf(resource), 1, ...orphans);
  resource.parent = undefined;
  resource.children = [];
}

/**
 * Makes a busy region for whoever uses the range. It goes as deep as resources that aren't busy let it.
 *
 * @param parent the tree's root, or what the region must lie in
 * @param size bytes
 * @param flags what the region gets besides the type of its parent and IORESOURCE_BUSY
 * @throws KernelError EBUSY that names what is in the way
 * @see __request_region() in kernel/resource.c
 */
export function requestRegion(
  parent: Resource,
  start: number,
  size: number,
  name: string,
  flags = 0,
): Resource {
  const region = new Resource({ name, start, end: start + size - 1 });
  let inside = parent;
  // Ends: each turn is a level deeper in the tree.
  for (;;) {
    region.flags =
      (inside.flags & (IORESOURCE_TYPE_BITS | IORESOURCE_EXT_TYPE_BITS)) | IORESOURCE_BUSY | flags;
    region.desc = inside.desc;
    const conflict = requestResourceConflict(inside, region);
    if (!conflict) return region;
    if (conflict === inside || (conflict.flags & IORESOURCE_BUSY) !== 0) throw busy(region, conflict, inside);
    inside = conflict;
  }
}

/**
 * Gives a busy region back, with all that lies in it. Both ends must be those that were requested.
 *
 * @throws KernelBug when there is no such region: the kernel logs it and goes on
 * @see __release_region() in kernel/resource.c
 */
export function releaseRegion(parent: Resource, start: number, size: number): void {
  const end = start + size - 1;
  let inside = parent;
  // Ends: each turn is a level deeper in the tree.
  for (;;) {
    const found = inside.children[firstChildFrom(inside, start)];
    if (!found?.contains(start, end)) break;
    if ((found.flags & IORESOURCE_BUSY) === 0) {
      inside = found;
      continue;
    }
    if (found.start !== start || found.end !== end) break;
    releaseResource(found);
    return;
  }
  throw new KernelBug(`trying to free nonexistent resource <0x${hex(start, 8)}-0x${hex(end, 8)}>`);
}

/** EBUSY for a range that another resource has, or that leaves its parent. */
export function busy(wanted: Resource, conflict: Resource, parent: Resource): KernelError {
  if (conflict === parent) return new KernelError("EBUSY", `${wanted} does not lie inside ${parent}`);
  const fix =
    conflict.desc === IORES_DESC_DEVICE_PRIVATE_MEMORY ? ", which unaddressable device memory has taken" : "";
  return new KernelError("EBUSY", `${wanted} conflicts with ${conflict}${fix}`);
}

function siblingsOf(resource: Resource): Resource[] {
  if (!resource.parent) throw new KernelError("EINVAL", `${resource} is in no resource tree`);
  return resource.parent.children;
}
