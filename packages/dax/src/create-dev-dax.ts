// Creation and deletion of devices, by the provider of a region or by an administrator. Kernel counterpart:
// devm_create_dev_dax(), unregister_dev_dax() and kill_dev_dax() in drivers/dax/bus.c.
import { KernelBug, KernelError, type Sleeps } from "@hetmem/kernel";
import { releaseDriver, deviceAttach } from "./binding.ts";
import { killDax, putInode } from "./dax-inode.ts";
import type { DaxRegion } from "./dax-region.ts";
import { DevDax, type DaxPagemap, type DaxSubsystem } from "./dev-dax.ts";
import { allocDevDaxRange, freeDevDaxRanges, registerDaxMapping } from "./dev-dax-range.ts";

export interface DevDaxData {
  /** Bytes; 0 for a device of a dynamic region that is sized later. */
  readonly size: number;
  /**
   * The M of daxN.M. Required in static regions, whose provider numbers its devices; absent in dynamic ones, where
   * the bus does.
   */
  readonly id?: number;
  /** Static regions only. */
  readonly pagemap?: DaxPagemap;
  /** "class": listed in /sys/class/dax, as before 5.1. "bus" when absent. @see 730926c3b099 */
  readonly subsystem?: DaxSubsystem;
}

/**
 * Creates a device at the start of a region, and probes it with the bus's drivers.
 *
 * @throws KernelError ENOMEM when the start of the region is taken or an allocation fails, ENXIO when the provider is
 * going away
 * @throws KernelBug for an id in a dynamic region, or none in a static one
 * @see devm_create_dev_dax() in drivers/dax/bus.c
 */
export function* createDevDax(region: DaxRegion, data: DevDaxData): Sleeps<DevDax> {
  yield* region.lock.lock();
  try {
    return yield* createDevDaxLocked(region, data);
  } finally {
    region.lock.unlock();
  }
}

/** createDevDax() with the region's lock held. */
function* createDevDaxLocked(region: DaxRegion, data: DevDaxData): Sleeps<DevDax> {
  region.checkEnabled();
  const device = makeDevDax(region, data);
  registerDevice(device);
  if (device.subsystem === "bus" && region.bus.autoprobe) yield* deviceAttach(device);
  return device;
}

/**
 * Creates a device without memory, by a write to `create`.
 *
 * @throws KernelError ENOSPC when the region has no free bytes
 * @see create_store()
 */
export function* createSeed(region: DaxRegion): Sleeps<void> {
  yield* region.lock.lock();
  try {
    if (region.availableSize === 0) {
      throw new KernelError(
        "ENOSPC",
        `dax_region ${region.id} is all taken: write a smaller size to one of its devices first`,
      );
    }
    const device = yield* createDevDaxLocked(region, { size: 0 });
    region.seed ??= device;
    region.youngest = device;
  } finally {
    region.lock.unlock();
  }
}

/**
 * Deletes a device by a write to `delete`. The device must be unbound and without memory. Device 0 of a region can't
 * be deleted, so that the region stays visible in /sys/bus/dax.
 *
 * @throws KernelError ENXIO without such a device, EBUSY while it is bound, has memory, or is device 0
 * @see delete_store()
 */
export function* deleteDevice(region: DaxRegion, name: string): Sleeps<void> {
  const victim = region.devices.find((device) => device.name === name);
  if (!victim) throw new KernelError("ENXIO", `dax_region ${region.id} has no device ${name}`);
  yield* region.lock.lock();
  try {
    yield* victim.lock.lock();
    try {
      invalidate(victim);
    } finally {
      victim.lock.unlock();
    }
    yield* deviceDel(victim);
  } finally {
    region.lock.unlock();
  }
}

/**
 * Unregisters a device: mmap() fails from now on, its driver is unbound, and its ranges return to the region.
 *
 * @see unregister_dev_dax()
 */
export function* deviceDel(device: DevDax): Sleeps<void> {
  const { bus, region } = device;
  yield* killDax(device);
  yield* device.lock.lock();
  try {
    if (device.driver) yield* releaseDriver(device, device.driver);
    device.registered = false;
  } finally {
    device.lock.unlock();
  }
  (device.subsystem === "bus" ? bus.devices : bus.classDevices).delete(device.name);
  bus.uevent("remove", device);
  region.devices.splice(region.devices.indexOf(device), 1);
  freeDevDaxRanges(device);
  release(device);
}

/** Creates the device without registering it in /sys, so that a failure undoes nothing that was visible. */
function makeDevDax(region: DaxRegion, { size, id, pagemap, subsystem = "bus" }: DevDaxData): DevDax {
  const { bus } = region;
  const isStatic = region.kind === "static";
  if (isStatic !== (id !== undefined))
    throw new KernelBug(
      `dax_region ${region.id} is ${region.kind}: ${isStatic ? "its provider" : "the bus"} numbers its devices`,
    );
  if (pagemap && !isStatic)
    throw new KernelBug("a pagemap of the provider's own requires a static dax_region");
  bus.kernel.faults.point("failslab").alloc("a dax device");
  const device = new DevDax(region, id ?? region.ids.alloc(), {
    subsystem,
    minor: bus.minors.alloc(),
    pagemap,
  });
  try {
    allocDevDaxRange(device, region.resource.start, size);
    bus.kernel.faults.point("failslab").alloc(`the inode of ${device.name}`);
  } catch (error) {
    freeDevDaxRanges(device);
    release(device);
    throw error;
  }
  return device;
}

function registerDevice(device: DevDax): void {
  const { bus, region, name, subsystem } = device;
  const siblings = subsystem === "bus" ? bus.devices : bus.classDevices;
  try {
    if (siblings.has(name)) throw new KernelError("EEXIST", `there is a ${name} already`);
    if (device.ranges.length > 0) registerDaxMapping(device, 0);
  } catch (error) {
    freeDevDaxRanges(device);
    release(device);
    throw error;
  }
  device.registered = true;
  siblings.set(name, device);
  region.devices.push(device);
  bus.uevent("add", device);
}

/** Checks that a device can be deleted, and makes it unbindable. @throws KernelError EBUSY */
function invalidate(victim: DevDax): void {
  const { region, name } = victim;
  if (victim.driver)
    throw new KernelError("EBUSY", `${name} is bound to ${victim.driver.name}: unbind it first`);
  if (victim.size > 0) throw new KernelError("EBUSY", `${name} has memory: write 0 to its size first`);
  if (victim.id === undefined || victim.id === 0)
    throw new KernelError("EBUSY", `${name} stays as long as its region does`);
  freeId(victim);
  if (region.seed === victim) region.seed = undefined;
  if (region.youngest === victim) region.youngest = undefined;
}

/** @see dev_dax_release() */
function release(device: DevDax): void {
  const { bus } = device;
  putInode(device);
  bus.minors.free(device.minor);
  freeId(device);
}

/** @see __free_dev_dax_id() */
function freeId(device: DevDax): void {
  if (device.id === undefined) return;
  if (device.region.kind === "dynamic") device.region.ids.free(device.id);
  device.id = undefined;
}
