// Changing the size, ranges or alignment of an unbound device of a dynamic region. A device grows into any free part
// of the region, so it may end up with several ranges. Kernel counterpart: dev_dax_resize(), dev_dax_shrink(),
// mapping_store() and align_store() in drivers/dax/bus.c.
import { GiB, KernelError, MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Resource } from "@hetmem/resource";
import { isDeviceSize } from "./dax-region.ts";
import { type DevDax, type DevDaxRange, rangeSize } from "./dev-dax.ts";
import { adjustDevDaxRange, allocDevDaxRange, trimDevDaxRange } from "./dev-dax-range.ts";

/** Alignments in bytes that x86-64 page tables support. @see dax_align_valid() */
const ALIGNS: readonly number[] = [PAGE_SIZE, 2 * MiB, GiB];

/**
 * Resizes a device.
 *
 * @param size bytes
 * @throws KernelError EINVAL when the size isn't a multiple of the device's alignment, ENXIO when the provider is
 * going away, EBUSY while a driver is bound, ENOSPC when the region has too few free bytes
 * @see size_store()
 */
export function* resizeDevice(device: DevDax, size: number): Sleeps<void> {
  if (!isDeviceSize(device, size)) throw misaligned(device, size);
  yield* whileFree(device, () => resize(device, size));
}

/**
 * Adds a range at a chosen place.
 *
 * @throws KernelError ENXIO when it isn't a multiple of the alignment, ENOMEM when it isn't free
 * @see mapping_store()
 */
export function* addMapping(device: DevDax, start: number, end: number): Sleeps<void> {
  yield* underBothLocks(device, () => {
    const size = end - start + 1;
    if (!isDeviceSize(device, size)) throw new KernelError("ENXIO", misaligned(device, size).reason);
    allocDevDaxRange(device, start, size);
  });
}

/**
 * Sets the alignment.
 *
 * @param align bytes
 * @throws KernelError EINVAL for an alignment that the cpu doesn't support or a range of the device doesn't have,
 * ENXIO when the provider is going away, EBUSY while a driver is bound
 * @see align_store()
 */
export function* alignDevice(device: DevDax, align: number): Sleeps<void> {
  if (!ALIGNS.includes(align))
    throw new KernelError("EINVAL", `${align} is no alignment: write 4096, 2097152 or 1073741824`);
  yield* whileFree(device, () => {
    const before = device.align;
    device.align = align;
    const odd = device.ranges.find((range) => !isDeviceSize(device, rangeSize(range)));
    if (!odd) return;
    device.align = before;
    throw new KernelError(
      "EINVAL",
      `${device.name} has a range of ${rangeSize(odd)} bytes, no multiple of ${align}`,
    );
  });
}

function* whileFree(device: DevDax, change: () => void): Sleeps<void> {
  yield* underBothLocks(device, () => {
    const { driver, name } = device;
    if (driver) throw new KernelError("EBUSY", `${name} is bound to ${driver.name}: unbind it first`);
    change();
  });
}

function* underBothLocks(device: DevDax, change: () => void): Sleeps<void> {
  const { region } = device;
  yield* region.lock.lock();
  try {
    region.checkEnabled();
    yield* device.lock.lock();
    try {
      if (!device.registered) throw new KernelError("ENXIO", `${device.name} has been deleted`);
      change();
    } finally {
      device.lock.unlock();
    }
  } finally {
    region.lock.unlock();
  }
}

/** @see dev_dax_resize() */
function resize(device: DevDax, size: number): void {
  const before = device.size;
  if (size < before) return shrink(device, before - size);
  const { region } = device;
  if (size - before > region.availableSize) {
    throw new KernelError(
      "ENOSPC",
      `dax_region ${region.id} has ${region.availableSize} bytes left for ${device.name}, not ${size - before}`,
    );
  }
  try {
    for (let left = size - before; left > 0;) left -= grow(device, left);
  } catch (error) {
    // The kernel keeps the part that it allocated; here a failed resize changes nothing.
    shrink(device, device.size - before);
    throw error;
  }
}

/** Allocates the first free part of the region, up to `wanted` bytes. @returns the allocated bytes */
function grow(device: DevDax, wanted: number): number {
  const { resource } = device.region;
  let free: number = resource.start;
  let before: Resource | undefined;
  for (const taken of resource.children) {
    if (taken.start > free) break;
    free = taken.end + 1;
    before = taken;
  }
  const end = resource.children.find(({ start }) => start > free)?.start ?? resource.end + 1;
  const size = Math.min(end - free, wanted);
  if (before && isLastRangeOf(device, before)) adjustDevDaxRange(device, before.size + size);
  else allocDevDaxRange(device, free, size);
  return size;
}

/**
 * Whether a part of the region is the device's last range. Only the last one may grow: later ranges would change
 * their offsets.
 *
 * @see adjust_ok()
 */
function isLastRangeOf({ ranges, name }: DevDax, part: Resource): boolean {
  return part.name === name && ranges.at(-1)?.start === part.start;
}

/** Frees bytes at the end of the device. @see dev_dax_shrink() */
function shrink(device: DevDax, bytes: number): void {
  for (let left = bytes; left > 0;) {
    const size = rangeSize(device.ranges.at(-1) as DevDaxRange);
    if (left < size) return adjustDevDaxRange(device, size - left);
    trimDevDaxRange(device);
    left -= size;
  }
}

function misaligned(device: DevDax, size: number): KernelError {
  return new KernelError(
    "EINVAL",
    `${size} bytes are no size for ${device.name}: write a multiple of ${Math.max(device.align, 2 * MiB)}`,
  );
}
