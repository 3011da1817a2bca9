// Binding of devices and drivers: automatically when one of them is registered, or by an administrator. The device
// lock is held while a driver binds or unbinds, so that a device never has two drivers. Kernel counterpart:
// drivers/base/dd.c, the bind and unbind files of drivers/base/bus.c, dax_bus_probe() in drivers/dax/bus.c.
import { errnoNumber, KernelBug, KernelError, type Sleeps } from "@hetmem/kernel";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DevDax } from "./dev-dax.ts";

/** Probes every free device that the driver matches. Failures are logged and not passed on. @see driver_attach() */
export function* driverAttach(bus: DaxBus, driver: DaxDriver): Sleeps<void> {
  for (const device of bus.devices.values()) {
    if (!bus.matches(driver, device)) continue;
    yield* device.lock.lock();
    try {
      if (isFree(device) && bus.drivers.has(driver.name)) yield* probeQuietly(device, driver);
    } finally {
      device.lock.unlock();
    }
  }
}

/** Probes a free device with the matching drivers in order until one binds it. @see device_attach() */
export function* deviceAttach(device: DevDax): Sleeps<void> {
  const { bus } = device;
  yield* device.lock.lock();
  try {
    for (const driver of bus.drivers.values()) {
      if (!isFree(device)) return;
      if (bus.drivers.has(driver.name) && bus.matches(driver, device)) yield* probeQuietly(device, driver);
    }
  } finally {
    device.lock.unlock();
  }
}

/**
 * Binds a device to a driver that matches it.
 *
 * @throws KernelError ENODEV when there is no such device or the driver doesn't match it; EBUSY when the device is
 * bound, and errors of probe(), as the bus's BindPolicy maps them
 * @see bind_store(), device_driver_attach()
 */
export function* driverBind(bus: DaxBus, driver: DaxDriver, name: string): Sleeps<void> {
  const device = bus.devices.get(name);
  if (!device) throw noDevice(name);
  if (!bus.matches(driver, device)) {
    throw new KernelError("ENODEV", `${driver.name} was not given ${name}: write its name to new_id instead`);
  }
  yield* device.lock.lock();
  try {
    if (!device.registered) throw noDevice(name);
    yield* probeUnbound(device, driver);
  } catch (error) {
    throw error instanceof KernelError ? bus.bindPolicy.answer(error) : error;
  } finally {
    device.lock.unlock();
  }
}

/** @see __driver_probe_device() */
function* probeUnbound(device: DevDax, driver: DaxDriver): Sleeps<void> {
  const { name } = device;
  if (device.driver)
    throw new KernelError("EBUSY", `${name} is bound to ${device.driver.name}: write it to its unbind first`);
  yield* reallyProbe(device, driver);
}

/** Unbinds a device. @throws KernelError ENODEV when the device isn't bound to this driver @see unbind_store() */
export function* driverUnbind(bus: DaxBus, driver: DaxDriver, name: string): Sleeps<void> {
  const device = bus.devices.get(name);
  if (!device) throw noDevice(name);
  if (device.driver !== driver)
    throw new KernelError(
      "ENODEV",
      `${name} is not bound to ${driver.name} but to ${device.driver?.name ?? "nobody"}`,
    );
  yield* deviceReleaseDriver(device, driver);
}

/**
 * Unbinds a device from its driver; with `driver`, only if it is bound to that one.
 *
 * @see device_release_driver_internal()
 */
export function* deviceReleaseDriver(device: DevDax, driver?: DaxDriver): Sleeps<void> {
  yield* device.lock.lock();
  try {
    if (device.driver && (driver === undefined || device.driver === driver))
      yield* releaseDriver(device, device.driver);
  } finally {
    device.lock.unlock();
  }
}

/** Unbinds with the device lock held. */
export function* releaseDriver(device: DevDax, driver: DaxDriver): Sleeps<void> {
  yield* call(driver, "remove", device);
  device.driver = undefined;
  device.bus.uevent("unbind", device);
}

/**
 * Binds a device to a driver with the device lock held; on failure the device is left unbound.
 *
 * @throws KernelError ENXIO for a device without memory or without an id; errors of probe()
 * @see really_probe(), dax_bus_probe()
 */
export function* reallyProbe(device: DevDax, driver: DaxDriver): Sleeps<void> {
  device.driver = driver;
  try {
    if (device.size === 0 || device.id === undefined)
      throw new KernelError("ENXIO", `${device.name} has no memory: write its size first`);
    yield* call(driver, "probe", device);
  } catch (error) {
    device.driver = undefined;
    if (error instanceof KernelError) logFailure(device, driver, error);
    throw error;
  }
  if (device.region.seed === device) device.region.seed = undefined;
  device.bus.uevent("bind", device);
}

function* probeQuietly(device: DevDax, driver: DaxDriver): Sleeps<void> {
  try {
    yield* reallyProbe(device, driver);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/** Calls a driver. @throws KernelBug for an error that is none of the kernel, with the driver, the call and the device */
function* call(driver: DaxDriver, operation: "probe" | "remove", device: DevDax): Sleeps<void> {
  try {
    yield* driver[operation](device);
  } catch (error) {
    if (error instanceof KernelError || error instanceof KernelBug) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new KernelBug(
      `${operation}() of the dax driver "${driver.name}" failed for ${device.name}: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

/** @see call_driver_probe() */
function logFailure({ kernel, name }: DevDax, driver: DaxDriver, { errno }: KernelError): void {
  if (errno === "ENODEV" || errno === "ENXIO") return;
  kernel.log.printk(4, `${driver.name}: probe of ${name} failed with error ${-errnoNumber(errno)}`);
}

function isFree({ registered, driver }: DevDax): boolean {
  return registered && driver === undefined;
}

function noDevice(name: string): KernelError {
  return new KernelError(
    "ENODEV",
    `there is no ${name} on the dax bus: /sys/bus/dax/devices lists those that are`,
  );
}
