// The base of all devices of the nd bus: name, path below /sys, device lock, and driver. Kernel counterpart: struct
// device with drivers/base/dd.c, and drivers/nvdimm/bus.c.
import { errnoNumber, type Kernel, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";
import "../version.ts";

/** @see struct nd_device_driver */
export type NdDriverName = "nd_bus" | "nvdimm" | "nd_region" | "nd_pmem" | "dax_pmem";

/** Locks are taken in this order: bus, module or region, then btt/pfn/dax, then namespace, then the bus's reconfig_mutex. */
export type NdDeviceClass = "nvdimm" | "nd_region" | "nd_claim" | "nd_namespace";

export class NdDevice {
  readonly name: string;
  /** Path below /sys: `/devices/…/ndbus0/region0`. */
  readonly path: string;
  /** @see device_lock() */
  readonly lock: Mutex;
  readonly kernel: Kernel;
  driver: NdDriverName | undefined;
  /** The driver that is being probed, for log prefixes. */
  probing: NdDriverName | undefined;
  /** Set when the device is unregistered. A task that waited for the lock must check it. */
  gone = false;

  constructor(kernel: Kernel, deviceClass: NdDeviceClass, parent: string, name: string) {
    this.kernel = kernel;
    this.name = name;
    this.path = `${parent}/${name}`;
    this.lock = new Mutex(kernel.lockdep, `${deviceClass} device_lock`);
  }

  /** Sends a uevent. @see kobject_uevent() */
  uevent(action: "add" | "remove" | "bind" | "unbind" | "change"): void {
    this.kernel.uevents.send(action, this.path, "nd");
  }

  /** Logs with the prefix `nd_pmem namespace0.0: `, as dev_err() and dev_info(). */
  log(level: 3 | 4 | 6, text: string): void {
    this.kernel.log.printk(level, `${this.driver ?? this.probing ?? "nd"} ${this.name}: ${text}`);
  }
}

/** Runs an action with the device lock held. @throws KernelError ENODEV when the device was unregistered meanwhile */
export function* withDeviceLock<T>(device: NdDevice, action: () => Sleeps<T>): Sleeps<T> {
  yield* device.lock.lock();
  try {
    if (device.gone) throw new KernelError("ENODEV", `${device.name} is gone`);
    return yield* action();
  } finally {
    device.lock.unlock();
  }
}

/**
 * Logs a failed probe. ENODEV and ENXIO, by which a driver rejects a device, aren't logged.
 *
 * @see call_driver_probe()
 */
export function logFailedProbe(
  { kernel, name }: NdDevice,
  driver: NdDriverName,
  { errno }: KernelError,
): void {
  if (errno === "ENODEV" || errno === "ENXIO") return;
  kernel.log.printk(4, `${driver}: probe of ${name} failed with error ${-errnoNumber(errno)}`);
}

/** @throws KernelError EBUSY when a driver is bound to the device */
export function expectUnbound(device: NdDevice): void {
  if (device.driver !== undefined)
    throw new KernelError(
      "EBUSY",
      `${device.name} is active: disable it first (${device.driver} is bound to it)`,
    );
}
