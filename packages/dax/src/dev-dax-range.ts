// The ranges of a device in its region, each with a `mapping` directory in /sys. Callers hold the region's lock.
// Kernel counterpart: alloc_dev_dax_range(), trim_dev_dax_range() and struct dax_mapping in drivers/dax/bus.c.
import { bugOn, KernelError, PAGE_SIZE, physAddr } from "@hetmem/kernel";
import { adjustResource, releaseRegion, requestRegion, type Resource } from "@hetmem/resource";
import { type DevDax, type DevDaxRange, formatRange, rangeSize } from "./dev-dax.ts";

/**
 * Appends a range to a device.
 *
 * @param start first byte
 * @param size bytes; 0 for a device that gets its memory later
 * @throws KernelError ENOMEM when the range isn't free; ENXIO when the provider is going away
 * @see alloc_dev_dax_range()
 */
export function allocDevDaxRange(device: DevDax, start: number, size: number): void {
  const { region, name, ranges } = device;
  if (size === 0) return bugOn(ranges.length > 0, `${name} has memory, and asks for none`);
  device.kernel.faults.point("failslab").alloc(`a range of ${name}`);
  const taken = requestPart(device, start, size);
  const pgoff = ranges.reduce((pages, range) => pages + rangeSize(range) / PAGE_SIZE, 0);
  ranges.push({ pgoff, start: taken.start, end: taken.end, mapping: undefined });
  if (!device.registered) return;
  try {
    region.checkEnabled();
    registerDaxMapping(device, ranges.length - 1);
  } catch (error) {
    trimDevDaxRange(device);
    throw error;
  }
}

/** Creates the `mapping` directory of a range. @throws KernelError ENOMEM @see devm_register_dax_mapping() */
export function registerDaxMapping(device: DevDax, index: number): void {
  device.kernel.faults.point("failslab").alloc(`a mapping of ${device.name}`);
  const range = device.ranges[index] as DevDaxRange;
  range.mapping = device.mappingIds.alloc();
}

/** Frees the last range of a device. @see trim_dev_dax_range(), unregister_dax_mapping() */
export function trimDevDaxRange({ ranges, region, mappingIds }: DevDax): void {
  const range = ranges.pop();
  if (!range) return;
  if (range.mapping !== undefined) mappingIds.free(range.mapping);
  releaseRegion(region.resource, range.start, rangeSize(range));
}

/** @see free_dev_dax_ranges() */
export function freeDevDaxRanges(device: DevDax): void {
  while (device.ranges.length > 0) trimDevDaxRange(device);
}

/**
 * Resizes the last range.
 *
 * @param size bytes
 * @throws KernelError EBUSY when the space after it is taken
 * @see adjust_dev_dax_range()
 */
export function adjustDevDaxRange(device: DevDax, size: number): void {
  const last = device.ranges.at(-1) as DevDaxRange;
  adjustResource(resourceOf(device, last), last.start, size);
  last.end = physAddr(last.start + size - 1);
}

function requestPart({ region, name }: DevDax, start: number, size: number): Resource {
  try {
    return requestRegion(region.resource, start, size, name);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const range = formatRange({ start, end: start + size - 1 });
    throw new KernelError("ENOMEM", `${range} of dax_region ${region.id} is not free for ${name}`);
  }
}

function resourceOf({ region, name }: DevDax, { start }: DevDaxRange): Resource {
  const found = region.resource.children.find((part) => part.name === name && part.start === start);
  bugOn(found === undefined, `a range of ${name} is not its own in dax_region ${region.id}`);
  return found as Resource;
}
