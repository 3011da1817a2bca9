// The dax bus: its devices, its drivers, and who of them may have whom. Kernel counterpart: dax_bus_type in
// drivers/dax/bus.c, over struct bus_type of drivers/base/bus.c.
import { type Kernel, KernelBug, type Sleeps, type UeventAction } from "@hetmem/kernel";
import type { ResourceTree } from "@hetmem/resource";
import { bindAnswersProbe, type BindPolicy } from "./bind-policy.ts";
import { deviceReleaseDriver, driverAttach } from "./binding.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DaxRegion } from "./dax-region.ts";
import type { DevDax } from "./dev-dax.ts";
import { Ida } from "./ida.ts";

/** What modules are found by: all dax devices are of type 0. @see DAX_DEVICE_MODALIAS_FMT */
export const DAX_MODALIAS = "dax:t0";
/** What the first driver that asks for a major number gets on a PC. @see alloc_chrdev_region() */
const DEFAULT_MAJOR = 252;

export interface DaxBusOptions {
  readonly kernel: Kernel;
  /** Where drivers reserve what they use. */
  readonly iomem: ResourceTree;
  /** Major number of /dev/daxN.M; 252 when absent. */
  readonly major?: number;
  /** What writes to `bind` answer; as since 5.14 when absent. */
  readonly bindPolicy?: BindPolicy;
}

export class DaxBus {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly major: number;
  readonly bindPolicy: BindPolicy;
  readonly minors: Ida = new Ida();
  readonly regions: Set<DaxRegion> = new Set();
  /** On the bus, by name, in the order in which they came. */
  readonly devices: Map<string, DevDax> = new Map();
  /** In /sys/class/dax, by name. */
  readonly classDevices: Map<string, DevDax> = new Map();
  /** By name, in the order in which they are tried. */
  readonly drivers: Map<string, DaxDriver> = new Map();
  /** Whether new devices and drivers look for each other. */
  autoprobe = true;
  readonly #ids = new Map<DaxDriver, Set<string>>();

  constructor({ kernel, iomem, major = DEFAULT_MAJOR, bindPolicy = bindAnswersProbe }: DaxBusOptions) {
    this.kernel = kernel;
    this.iomem = iomem;
    this.major = major;
    this.bindPolicy = bindPolicy;
  }

  /** Names of devices that a driver was given. */
  idsOf(driver: DaxDriver): Set<string> {
    const ids = this.#ids.get(driver);
    if (!ids) throw new KernelBug(`${driver.name} is no driver of the dax bus: register it first`);
    return ids;
  }

  /** Whether a driver may have a device. @see dax_bus_match() */
  matches(driver: DaxDriver, device: DevDax): boolean {
    return driver.matchAlways === true || (this.#ids.get(driver)?.has(device.name) ?? false);
  }

  /**
   * Adds a driver, which gets what it matches at once.
   *
   * @throws KernelBug for a name that is taken, and for a second driver that matches always
   * @see __dax_driver_register()
   */
  *registerDriver(driver: DaxDriver): Sleeps<void> {
    if (this.drivers.has(driver.name)) throw new KernelBug(`driver ${driver.name} is registered already`);
    for (const { name, matchAlways } of this.drivers.values()) {
      if (driver.matchAlways && matchAlways)
        throw new KernelBug(`${name} takes every device already: ${driver.name} can't do so too`);
    }
    this.drivers.set(driver.name, driver);
    this.#ids.set(driver, new Set());
    if (this.autoprobe) yield* driverAttach(this, driver);
  }

  /** Removes a driver, whose devices are let go of first. @see dax_driver_unregister() */
  *unregisterDriver(driver: DaxDriver): Sleeps<void> {
    this.drivers.delete(driver.name);
    this.#ids.delete(driver);
    for (const device of this.devices.values()) yield* deviceReleaseDriver(device, driver);
  }

  /** Tells user space of a device. @see dax_bus_uevent(), dev_uevent() */
  uevent(action: UeventAction, device: DevDax): void {
    this.kernel.uevents.send(action, `/${device.devpath}`, "dax", deviceEnv(device));
  }
}

/** What a uevent of a device says, and its `uevent` file. */
export function deviceEnv({ bus, minor, name, driver, subsystem }: DevDax): Record<string, string> {
  return {
    MAJOR: `${bus.major}`,
    MINOR: `${minor}`,
    DEVNAME: name,
    ...(driver && { DRIVER: driver.name }),
    ...(subsystem === "bus" && { MODALIAS: DAX_MODALIAS }),
  };
}
