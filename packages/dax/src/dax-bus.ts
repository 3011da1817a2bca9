// The dax bus: devices, drivers, and the match between them. Kernel counterpart: dax_bus_type in drivers/dax/bus.c,
// over struct bus_type of drivers/base/bus.c.
import { type Kernel, KernelBug, KernelError, type Sleeps, type UeventAction } from "@hetmem/kernel";
import type { ResourceTree } from "@hetmem/resource";
import { bindAnswersProbe, type BindPolicy } from "./bind-policy.ts";
import { deviceReleaseDriver, driverAttach } from "./binding.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DaxRegion } from "./dax-region.ts";
import type { DevDax } from "./dev-dax.ts";
import { Ida } from "./ida.ts";

/** Module alias: all dax devices have type 0. @see DAX_DEVICE_MODALIAS_FMT */
export const DAX_MODALIAS = "dax:t0";
/** The first dynamic major number that is free on a PC. @see alloc_chrdev_region() */
const DEFAULT_MAJOR = 252;

export interface DaxBusOptions {
  readonly kernel: Kernel;
  /** The tree in which drivers reserve the ranges of their devices. */
  readonly iomem: ResourceTree;
  /** Major number of /dev/daxN.M; 252 when absent. */
  readonly major?: number;
  /** Errors of writes to `bind`; those since 5.14 when absent. */
  readonly bindPolicy?: BindPolicy;
}

export class DaxBus {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly major: number;
  readonly bindPolicy: BindPolicy;
  readonly minors: Ida = new Ida();
  readonly regions: Set<DaxRegion> = new Set();
  /** Devices in /sys/bus/dax by name, in order of registration. */
  readonly devices: Map<string, DevDax> = new Map();
  /** Devices in /sys/class/dax by name. */
  readonly classDevices: Map<string, DevDax> = new Map();
  /** Drivers by name, in the order in which they are probed. */
  readonly drivers: Map<string, DaxDriver> = new Map();
  /** Whether new devices and drivers are probed automatically. */
  autoprobe = true;
  readonly #ids = new Map<DaxDriver, Set<string>>();

  constructor({ kernel, iomem, major = DEFAULT_MAJOR, bindPolicy = bindAnswersProbe }: DaxBusOptions) {
    this.kernel = kernel;
    this.iomem = iomem;
    this.major = major;
    this.bindPolicy = bindPolicy;
  }

  /** The device names that were written to a driver's new_id. */
  idsOf(driver: DaxDriver): Set<string> {
    const ids = this.#ids.get(driver);
    if (!ids) throw new KernelBug(`${driver.name} is no driver of the dax bus: register it first`);
    return ids;
  }

  /** Whether a driver matches a device. @see dax_bus_match() */
  matches(driver: DaxDriver, device: DevDax): boolean {
    return driver.matchAlways === true || (this.#ids.get(driver)?.has(device.name) ?? false);
  }

  /**
   * Registers a driver, and probes the free devices that it matches.
   *
   * @throws KernelError EBUSY for a name that is taken, EINVAL for a second driver with matchAlways; nothing was registered
   * @see __dax_driver_register()
   */
  *registerDriver(driver: DaxDriver): Sleeps<void> {
    if (this.drivers.has(driver.name))
      throw new KernelError("EBUSY", `the dax bus has a driver ${driver.name} already: unregister it first`);
    for (const { name, matchAlways } of this.drivers.values()) {
      if (driver.matchAlways && matchAlways)
        throw new KernelError(
          "EINVAL",
          `${name} takes every device already: ${driver.name} can't have matchAlways, too`,
        );
    }
    this.drivers.set(driver.name, driver);
    this.#ids.set(driver, new Set());
    if (this.autoprobe) yield* driverAttach(this, driver);
  }

  /** Unregisters a driver and unbinds its devices. @see dax_driver_unregister() */
  *unregisterDriver(driver: DaxDriver): Sleeps<void> {
    this.drivers.delete(driver.name);
    this.#ids.delete(driver);
    for (const device of this.devices.values()) yield* deviceReleaseDriver(device, driver);
  }

  /** Sends a uevent for a device. @see dax_bus_uevent(), dev_uevent() */
  uevent(action: UeventAction, device: DevDax): void {
    this.kernel.uevents.send(action, `/${device.devpath}`, "dax", deviceEnv(device));
  }
}

/** Environment of a device's uevents, and content of its `uevent` file. */
export function deviceEnv({ bus, minor, name, driver, subsystem }: DevDax): Record<string, string> {
  return {
    MAJOR: `${bus.major}`,
    MINOR: `${minor}`,
    DEVNAME: name,
    ...(driver && { DRIVER: driver.name }),
    ...(subsystem === "bus" && { MODALIAS: DAX_MODALIAS }),
  };
}
