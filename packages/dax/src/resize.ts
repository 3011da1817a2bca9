// A device of a dynamic region gets another size, other ranges or another alignment, as long as no driver has it. What it
// gets more of may come from anywhere in the region, so that it may end up with several ranges. Kernel counterpart:
// dev_dax_resize(), dev_dax_shrink(), mapping_store() and align_store() in drivers/dax/bus.c.
import { GiB, KernelError, MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Resource } from "@hetmem/resource";
import { isDeviceSize } from "./dax-region.ts";
import { type DevDax, type DevDaxRange, rangeSize } from "./dev-dax.ts";
import { adjustDevDaxRange, allocDevDaxRange, trimDevDaxRange } from "./dev-dax-range.ts";

/** What mappings can be made of on x86-64. @see dax_align_valid() */
const ALIGNS: readonly number[] = [PAGE_SIZE, 2 * MiB, GiB];

/**
 * @param size bytes
 * @throws KernelError EINVAL off the device's alignment, ENXIO when the provider is going, EBUSY while a driver has it,
 *   ENOSPC when the region hasn't that much left
 * @see size_store()
 */
export function* resizeDevice(device: DevDax, size: number): Sleeps<void> {
  if (!isDeviceSize(device, size)) throw misaligned(device, size);
  yield* whileFree(device, () => resize(device, size));
}

/** Adds a range of the administrator's choice. @throws KernelError ENXIO off the alignment, ENOMEM where it isn't free @see mapping_store() */
export function* addMapping(device: DevDax, start: number, end: number): Sleeps<void> {
  yield* underBothLocks(device, () => {
    const size = end - start + 1;
    if (!isDeviceSize(device, size)) throw new KernelError("ENXIO", misaligned(device, size).reason);
    allocDevDaxRange(device, start, size);
  });
}

/** @throws KernelError EINVAL for an alignment that the cpu or a range of the device hasn't, ENXIO, EBUSY @see align_store() */
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
    // The kernel leaves what it got; here a size that can't be had changes nothing.
    shrink(device, device.size - before);
    throw error;
  }
}

/** Takes the first free part of the region. @returns the bytes of it */
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

/** Whether a part of the region is the device's last: only that one may grow, since those behind would move. @see adjust_ok() */
function isLastRangeOf({ ranges, name }: DevDax, part: Resource): boolean {
  return part.name === name && ranges.at(-1)?.start === part.start;
}

/** Gives up the last bytes. @see dev_dax_shrink() */
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
