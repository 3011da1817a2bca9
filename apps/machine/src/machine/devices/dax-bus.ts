// The dax bus of a machine with its drivers, or, before 5.1, the class that there was instead. Kernel counterparts:
// drivers/dax/bus.c, device.c, kmem.c.
import { DaxBus, daxBusTables, daxDeviceTables, type DaxDriver, type DevDax } from "@hetmem/dax";
import { errnoNumber, KernelError, run } from "@hetmem/kernel";
import type { Pagemaps } from "@hetmem/memremap";
import type { Vm } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import type { ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";
import { checkMade } from "../../parts/check-parts.ts";
import type { MachineParts } from "../../parts/machine-parts.ts";

export interface MachineDax {
  readonly bus: DaxBus;
  readonly tables: readonly AttributeTable[];
  /** The driver that namespaces are given to, where there is no bus on which one finds them. */
  readonly compatDriver: DaxDriver | undefined;
  /** Opens /dev/daxN.M. @throws KernelError ENXIO when no driver gives the device a file */
  open(device: DevDax): FileObject;
}

export interface MachineDaxOptions {
  readonly vm: Vm;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly parts: Pick<MachineParts, "daxDrivers" | "daxSubsystem" | "bindPolicy">;
}

export function createDax({ vm, iomem, pagemaps, parts }: MachineDaxOptions): MachineDax {
  const { bindPolicy, daxDrivers, daxSubsystem } = parts;
  const bus = new DaxBus({ kernel: vm.kernel, iomem, bindPolicy });
  const drivers = daxDrivers.map((make) => checkMade("daxDrivers", make({ vm, pagemaps })));
  const hasBus = daxSubsystem === "bus";
  const compatDriver = hasBus ? undefined : drivers.find(({ matchAlways }) => matchAlways);
  if (hasBus) for (const driver of drivers) register(bus, driver);
  const tables = daxBusTables(bus).filter(({ root }) => hasBus || root !== "/sys/bus/dax");
  return {
    bus,
    tables: [...tables, ...daxDeviceTables(bus)],
    compatDriver,
    open(device) {
      const file = (compatDriver ?? device.driver)?.open?.(device, true);
      if (file) return file;
      throw new KernelError("ENXIO", `no driver of ${device.name} gives it a file: bind device_dax`);
    },
  };
}

/** A driver that can't be registered is not there, and the log says so. @see driver_register() in drivers/base/driver.c */
function register(bus: DaxBus, driver: DaxDriver): void {
  try {
    run(bus.registerDriver(driver));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    bus.kernel.log.printk(3, `${driver.name}: ${error.reason}`);
    bus.kernel.log.printk(
      4,
      `dax: registering ${driver.name} failed with error ${-errnoNumber(error.errno)}`,
    );
  }
}
