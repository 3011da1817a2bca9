// Resources of hotplugged RAM. Hot-added blocks may be merged into one resource; hot-remove releases any part of a
// resource, trimming or splitting it. Kernel counterpart: release_mem_region_adjustable() and
// merge_system_ram_resource() in kernel/resource.c.
import { bugOn, KernelBug, physAddr } from "@hetmem/kernel";
import {
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_SYSRAM_MERGEABLE,
  IORESOURCE_SYSTEM_RAM,
} from "./flags.ts";
import { adjustResource } from "./insert.ts";
import { releaseResource } from "./request.ts";
import { firstChildFrom, hex, Resource } from "./resource.ts";

/**
 * Releases part of a busy memory resource, or all of it. A resource that is split keeps its children in the lower
 * half.
 *
 * @param start first byte
 * @param size bytes
 * @returns false when no busy memory resource contains the range, which the kernel ignores
 * @throws KernelBug when the range doesn't lie inside the tree, or a child is in the way of the cut
 * @see release_mem_region_adjustable() in kernel/resource.c
 */
export function releaseMemRegionAdjustable(iomem: Resource, start: number, size: number): boolean {
  const end = start + size - 1;
  bugOn(!iomem.contains(start, end), `0x${hex(start, 8)}-0x${hex(end, 8)} does not lie inside ${iomem}`);
  let inside = iomem;
  // Ends: each turn descends one level of the tree.
  for (;;) {
    const found = inside.children[firstChildFrom(inside, start)];
    if (!found?.contains(start, end) || (found.flags & IORESOURCE_MEM) === 0) return false;
    if ((found.flags & IORESOURCE_BUSY) !== 0) {
      cut(found, start, end);
      return true;
    }
    inside = found;
  }
}

/**
 * Marks RAM mergeable and merges it with mergeable neighbours of the same name, flags and descriptor. Resources with
 * children are not merged.
 *
 * @returns the resource that covers the range now; the absorbed ones are in no tree any more
 * @throws KernelBug when the resource isn't busy System RAM
 * @see merge_system_ram_resource() in kernel/resource.c
 */
export function mergeSystemRamResource(resource: Resource): Resource {
  const wanted = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
  const { parent } = resource;
  if (!parent || (resource.flags & wanted) !== wanted)
    throw new KernelBug(`${resource} is not busy System RAM`);
  resource.flags |= IORESOURCE_SYSRAM_MERGEABLE;

  const at = parent.children.indexOf(resource);
  const after = parent.children[at + 1];
  if (after && mergeable(resource, after)) absorb(resource, after);
  const before = parent.children[at - 1];
  if (before && mergeable(before, resource)) {
    absorb(before, resource);
    return before;
  }
  return resource;
}

function cut(resource: Resource, start: number, end: number): void {
  if (resource.start === start && resource.end === end) {
    releaseResource(resource);
  } else if (resource.start === start) {
    trim(resource, end + 1, resource.end);
  } else {
    const upperEnd = resource.end;
    trim(resource, resource.start, start - 1);
    if (upperEnd > end) addUpperHalf(resource, end + 1, upperEnd);
  }
}

function trim(resource: Resource, start: number, end: number): void {
  try {
    adjustResource(resource, start, end - start + 1);
  } catch (cause) {
    throw new KernelBug(`a part of ${resource} is released that its children use`, { cause });
  }
}

function addUpperHalf(lower: Resource, start: number, end: number): void {
  const { name, flags, desc, parent } = lower;
  const upper = new Resource({ name, start, end, flags, desc });
  upper.parent = parent;
  parent?.children.splice(parent.children.indexOf(lower) + 1, 0, upper);
}

function mergeable(low: Resource, high: Resource): boolean {
  return (
    low.flags === high.flags &&
    low.end + 1 === high.start &&
    low.name === high.name &&
    low.desc === high.desc &&
    low.children.length === 0 &&
    high.children.length === 0
  );
}

/** Extends the lower resource over both ranges. */
function absorb(low: Resource, high: Resource): void {
  const { end } = high;
  releaseResource(high);
  low.end = physAddr(end);
}
