// Allocation of free ranges. Unaddressable device memory needs page frames that no bus will ever decode. Such memory
// is placed downwards from the top of the physical space, away from memory that may be hotplugged later. Buses place
// their windows upwards from the bottom. Kernel counterpart: get_free_mem_region() and allocate_resource() in
// kernel/resource.c.
import { alignUp, bugOn, KernelError, MiB, physAddr } from "@hetmem/kernel";
import { IORES_DESC_DEVICE_PRIVATE_MEMORY, IORES_DESC_NONE, IORESOURCE_MEM } from "./flags.ts";
import { insertResourceConflict } from "./insert.ts";
import { removeResource, requestRegion, requestResource } from "./request.ts";
import { firstChildFrom, hex, Resource, rootOf } from "./resource.ts";

/** Physical addresses that the memmap can describe on x86-64 with four-level page tables. @see arch/x86/include/asm/sparsemem.h */
export const MAX_PHYSMEM_BITS = 46;
/** Alignment of free regions in bytes: one memory section. @see GFR_DEFAULT_ALIGN in kernel/resource.c */
export const GFR_DEFAULT_ALIGN = 128 * MiB;

/**
 * Requests the highest free range below the top of the physical space, for device memory that the cpu can't address.
 *
 * @param base the tree's root, or a resource that the range must lie in
 * @param size bytes, rounded up to whole sections
 * @param maxPhysmemBits bits of the highest physical address that the memmap can describe; the end of `base` is a
 * limit too
 * @returns the busy region, whose descriptor is IORES_DESC_DEVICE_PRIVATE_MEMORY
 * @throws KernelError ERANGE when no range is free
 * @see request_free_mem_region() in kernel/resource.c, GFR_DESCENDING
 */
export function requestFreeMemRegion(
  base: Resource,
  size: number,
  name: string,
  maxPhysmemBits = MAX_PHYSMEM_BITS,
): Resource {
  const rounded = roundedSize(size, GFR_DEFAULT_ALIGN, name);
  const top = Math.min(base.end, 2 ** maxPhysmemBits - 1);
  // The kernel steps down by the whole size. A hole that straddles two steps is not found.
  for (let start = top - rounded + 1; start > rounded && start >= base.start; start -= rounded) {
    if (!isFree(base, start, rounded)) continue;
    const region = requestRegion(rootOf(base), start, rounded, name);
    region.desc = IORES_DESC_DEVICE_PRIVATE_MEMORY;
    return region;
  }
  throw noRoom(base, rounded, name);
}

/**
 * Inserts a resource into the lowest free range inside `base`, as a bus does for a new memory window.
 *
 * @param size bytes, rounded up to the alignment
 * @param align bytes
 * @returns the inserted resource
 * @throws KernelError ERANGE when no range is free
 * @see alloc_free_mem_region() in kernel/resource.c
 */
export function allocFreeMemRegion(
  base: Resource,
  size: number,
  align: number,
  name: string,
  maxPhysmemBits = MAX_PHYSMEM_BITS,
): Resource {
  const rounded = roundedSize(size, align, name);
  const top = Math.min(base.end, 2 ** maxPhysmemBits - 1);
  for (let start = alignUp(base.start, align); start <= top; start += rounded) {
    if (!isFree(base, start, rounded)) continue;
    const region = new Resource({
      name,
      start,
      end: start + rounded - 1,
      flags: IORESOURCE_MEM,
      desc: IORES_DESC_NONE,
    });
    if (insertResourceConflict(base, region)) break;
    if (region.children.length === 0) return region;
    removeResource(region);
    break;
  }
  throw noRoom(base, rounded, name);
}

/** Bounds on the place that allocateResource() chooses. */
export interface ResourceConstraint {
  /** Lowest first byte. */
  readonly min?: number;
  /** Highest last byte. */
  readonly max?: number;
  /** Bytes, a power of two or any other unit. */
  readonly align?: number;
}

/**
 * Gives a resource the lowest free range directly under a parent, and places it there.
 *
 * @param size bytes
 * @throws KernelError EBUSY when no gap is large enough; the resource is then as it was
 * @see allocate_resource() in kernel/resource.c
 */
export function allocateResource(
  parent: Resource,
  resource: Resource,
  size: number,
  constraint: ResourceConstraint = {},
): void {
  bugOn(resource.parent !== undefined, `${resource} is in a tree already`);
  bugOn(!(size > 0), `${resource.name} asks for ${size} bytes`);
  const { min = parent.start, max = parent.end, align = 1 } = constraint;
  const last = Math.min(max, parent.end);
  let start = alignUp(Math.max(min, parent.start), align);
  for (let at = firstChildFrom(parent, start); start + size - 1 <= last; at++) {
    const taken = parent.children[at];
    if (!taken || taken.start > start + size - 1) {
      resource.start = physAddr(start);
      resource.end = physAddr(start + size - 1);
      return requestResource(parent, resource);
    }
    start = alignUp(taken.end + 1, align);
  }
  throw new KernelError(
    "EBUSY",
    `${resource.name} finds no ${size} free bytes between 0x${hex(min, 8)} and 0x${hex(max, 8)} in ${parent}`,
  );
}

/** Whether no child of `base` overlaps the range. */
function isFree(base: Resource, start: number, size: number): boolean {
  const next = base.children[firstChildFrom(base, start)];
  return !next || next.start > start + size - 1;
}

function roundedSize(size: number, align: number, name: string): number {
  bugOn(!(size > 0), `${name} asks for ${size} bytes`);
  return alignUp(size, align);
}

function noRoom(base: Resource, size: number, name: string): KernelError {
  return new KernelError("ERANGE", `${name} finds no ${size / MiB} MiB of free addresses in ${base}`);
}
