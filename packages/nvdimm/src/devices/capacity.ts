// Free capacity of a region, and its allocation to namespaces. A namespace has one extent on each module, at the same
// offset on all of them. Kernel counterpart: nd_region_available_dpa(), nd_region_allocatable_dpa(),
// grow_dpa_allocation() and shrink_dpa_allocation() in drivers/nvdimm/{region_devs,dimm_devs,namespace_devs}.c.
import { alignDown, alignUp, KernelError } from "@hetmem/kernel";
import { adjustResource, requestRegion } from "@hetmem/resource";
import type { Range } from "../errors/range-set.ts";
import type { Uuid } from "../labels/uuid.ts";
import { type DimmData, dpaOf, freeDpa, labelId } from "./dimm.ts";
import type { Mapping, Region } from "./region.ts";

/** Free bytes in all gaps; 0 while a module is disabled. @see nd_region_available_dpa() */
export function availableSize(region: Region): number {
  if (region.mappings.some(({ dimm }) => !dimm.data)) return 0;
  const align = dpaAlign(region);
  return region.mappings.reduce((sum, mapping) => {
    const busy = takenIn(mapping).reduce(
      (bytes, { start, end }) => bytes + alignUp(end, align) - alignDown(start, align),
      0,
    );
    return sum + Math.max(0, alignDown(mapping.size - busy, align));
  }, 0);
}

/** Bytes of the largest namespace that can be created. @see nd_region_allocatable_dpa() */
export function maxAvailableExtent(region: Region): number {
  const largest = region.mappings.map((mapping) =>
    Math.max(0, ...gapsOf(region, mapping).map(({ start, end }) => end - start)),
  );
  return largest.length === 0 ? 0 : Math.min(...largest) * region.mappings.length;
}

/** Bytes allocated to a namespace on all modules. @see nvdimm_allocated_dpa() */
export function allocatedSize(region: Region, uuid: Uuid): number {
  return region.mappings.reduce((sum, { dimm }) => sum + (dpaOf(dimm.expectData(), uuid)?.size ?? 0), 0);
}

/**
 * Resizes the allocation of a namespace: in the lowest gap that is large enough, or next to its extent. Zero frees
 * it.
 *
 * @param size bytes, on all modules together
 * @throws KernelError ENOSPC when no gap is large enough, ENXIO when the gap next to its extent isn't
 * @see __size_store()
 */
export function resizeAllocation(region: Region, uuid: Uuid, size: number): void {
  const allocated = allocatedSize(region, uuid);
  if (size > maxAvailableExtent(region) + allocated) {
    throw new KernelError(
      "ENOSPC",
      `${region.name} has ${maxAvailableExtent(region)} bytes in one piece, ${size - allocated} are wanted`,
    );
  }
  const perDimm = size / region.mappings.length;
  const before = allocated / region.mappings.length;
  if (size > allocated) growAll(region, uuid, perDimm - before);
  else if (size < allocated) shrinkAll(region, uuid, perDimm);
}

function shrinkAll(region: Region, uuid: Uuid, perDimm: number): void {
  for (const { dimm } of region.mappings) {
    const data = dimm.expectData();
    const taken = dpaOf(data, uuid);
    if (perDimm === 0) freeDpa(data, uuid);
    else if (taken) adjustResource(taken, taken.start, perDimm);
  }
}

/** Grows the allocation on all modules or on none. */
function growAll(region: Region, uuid: Uuid, bytes: number): void {
  const plans = region.mappings.map((mapping) => growthOf(region, mapping, uuid, bytes));
  for (const { data, start, size } of plans) {
    const taken = dpaOf(data, uuid);
    if (taken) adjustResource(taken, start, size);
    else requestRegion(data.dpa, start, size, labelId(uuid));
  }
}

/** The new extent on one module. @see scan_allocate() */
function growthOf(
  region: Region,
  mapping: Mapping,
  uuid: Uuid,
  bytes: number,
): { readonly data: DimmData; readonly start: number; readonly size: number } {
  const data = mapping.dimm.expectData();
  const taken = dpaOf(data, uuid);
  const gaps = gapsOf(region, mapping).filter(({ start, end }) => end - start >= bytes);
  if (!taken) {
    const [gap] = gaps;
    if (gap) return { data, start: gap.start, size: bytes };
  } else {
    if (gaps.some(({ start }) => start === taken.end + 1))
      return { data, start: taken.start, size: taken.size + bytes };
    if (gaps.some(({ end }) => end === taken.start))
      return { data, start: taken.start - bytes, size: taken.size + bytes };
  }
  throw new KernelError("ENXIO", `${mapping.dimm.name} has no ${bytes} bytes next to what ${uuid} has`);
}

/** Free, aligned gaps of a module in the region. @see nd_pmem_max_contiguous_dpa() */
function gapsOf(region: Region, mapping: Mapping): Range[] {
  const align = dpaAlign(region);
  const gaps: Range[] = [];
  if (!mapping.dimm.data) return gaps;
  let from = mapping.start;
  for (const { start, end } of [...takenIn(mapping), endOf(mapping)]) {
    gaps.push({ start: alignUp(from, align), end: alignDown(start, align) });
    from = end;
  }
  return gaps.filter(({ start, end }) => end > start);
}

function endOf({ start, size }: Mapping): Range {
  return { start: start + size, end: start + size };
}

/** Allocated ranges of a module in the region. */
function takenIn({ dimm, start, size }: Mapping): Range[] {
  return (dimm.data?.dpa.children ?? [])
    .map((taken) => ({ start: taken.start as number, end: taken.end + 1 }))
    .filter((taken) => taken.start < start + size && taken.end > start);
}

/** @see dpa_align() */
function dpaAlign({ align, mappings }: Region): number {
  return align / Math.max(1, mappings.length);
}
