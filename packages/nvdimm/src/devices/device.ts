// What the devices of the nd bus have in common: a name, a place below /sys, a lock that holds drivers still, and the driver.
// Kernel counterpart: struct device with drivers/base/dd.c, and drivers/nvdimm/bus.c.
import { errnoNumber, type Kernel, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";

/** @see struct nd_device_driver */
export type NdDriverName = "nd_bus" | "nvdimm" | "nd_region" | "nd_pmem" | "dax_pmem";

/** Locks are taken in this order: bus, module or region, then btt/pfn/dax, then namespace, then the bus's reconfig_mutex. */
export type NdDeviceClass = "nvdimm" | "nd_region" | "nd_claim" | "nd_namespace";

export class NdDevice {
  readonly name: string;
  /** Below /sys: `/devices/…/ndbus0/region0`. */
  readonly path: string;
  /** @see device_lock() */
  readonly lock: Mutex;
  readonly kernel: Kernel;
  driver: NdDriverName | undefined;
  /** The driver whose probe runs just now: the log names it already. */
  probing: NdDriverName | undefined;
  /** Whether it is no longer on the bus: who waited for its lock finds it so. */
  gone = false;

  constructor(kernel: Kernel, deviceClass: NdDeviceClass, parent: string, name: string) {
    this.kernel = kernel;
    this.name = name;
    this.path = `${parent}/${name}`;
    this.lock = new Mutex(kernel.lockdep, `${deviceClass} device_lock`);
  }

  /** Tells user space. @see kobject_uevent() */
  uevent(action: "add" | "remove" | "bind" | "unbind" | "change"): void {
    this.kernel.uevents.send(action, this.path, "nd");
  }

  /** `nd_pmem namespace0.0: …`, as dev_err() and dev_info() print it. */
  log(level: 3 | 4 | 6, text: string): void {
    this.kernel.log.printk(level, `${this.driver ?? this.probing ?? "nd"} ${this.name}: ${text}`);
  }
}

/** Does something with a device held still. @throws KernelError ENODEV when it has gone meanwhile */
export function* withDeviceLock<T>(device: NdDevice, action: () => Sleeps<T>): Sleeps<T> {
  yield* device.lock.lock();
  try {
    if (device.gone) throw new KernelError("ENODEV", `${device.name} is gone`);
    return yield* action();
  } finally {
    device.lock.unlock();
  }
}

/** What the kernel logs of a probe that fails. A driver that doesn't want the device is no failure. @see call_driver_probe() */
export function logFailedProbe(
  { kernel, name }: NdDevice,
  driver: NdDriverName,
  { errno }: KernelError,
): void {
  if (errno === "ENODEV" || errno === "ENXIO") return;
  kernel.log.printk(4, `${driver}: probe of ${name} failed with error ${-errnoNumber(errno)}`);
}

/** @throws KernelError EBUSY when a driver is bound to it */
export function expectUnbound(device: NdDevice): void {
  if (device.driver !== undefined)
    throw new KernelError(
      "EBUSY",
      `${device.name} is active: disable it first (${device.driver} is bound to it)`,
    );
}
