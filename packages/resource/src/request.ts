// Requests and releases of ranges. A requested range must be free; the first resource in the way is the conflict,
// which the error names. A region is requested by the user of a range and may lie inside a resource that isn't busy.
// Kernel counterpart: the request and release functions of kernel/resource.c.
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
 * @throws KernelError EBUSY that names the conflicting sibling, or the parent when the range doesn't lie inside it
 * @see request_resource() in kernel/resource.c
 */
export function requestResource(parent: Resource, resource: Resource): void {
  const conflict = requestResourceConflict(parent, resource);
  if (conflict) throw busy(resource, conflict, parent);
}

/**
 * requestResource() for callers that go on after a conflict.
 *
 * @returns undefined when the resource was placed; else the conflicting sibling, or `parent` when the range doesn't
 * lie inside it
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
 * Removes a resource and all its descendants from the tree.
 *
 * @throws KernelError EINVAL when the resource is in no tree
 * @see release_resource() in kernel/resource.c
 */
export function releaseResource(resource: Resource): void {
  const siblings = siblingsOf(resource);
  siblings.splice(siblings.indexOf(resource), 1);
  resource.parent = undefined;
}

/**
 * Removes a resource from the tree; its children become its parent's. Reverses insertResource().
 *
 * @throws KernelError EINVAL when the resource is in no tree
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
 * Creates a busy region for the user of a range, inside the deepest resource that contains the range and isn't busy.
 *
 * @param parent the tree's root, or a resource that the region must lie in
 * @param start first byte
 * @param size bytes
 * @param flags flags added to the type of the parent and IORESOURCE_BUSY
 * @returns the region
 * @throws KernelError EBUSY that names the conflicting resource
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
  // Ends: each turn descends one level of the tree.
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
 * Releases a busy region and its descendants. `start` and `size` must be those of the request.
 *
 * @throws KernelBug when there is no such region, where the kernel logs a warning
 * @see __release_region() in kernel/resource.c
 */
export function releaseRegion(parent: Resource, start: number, size: number): void {
  const end = start + size - 1;
  let inside = parent;
  // Ends: each turn descends one level of the tree.
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

/** EBUSY for a range that conflicts with another resource or doesn't lie inside its parent. */
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
