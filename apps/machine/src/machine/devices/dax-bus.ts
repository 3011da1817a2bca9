// The dax bus of a machine with its two drivers, and what a release has of them: no bus before 5.1, no kmem then. Kernel
// counterparts: drivers/dax/bus.c, device.c, kmem.c.
import {
  type BindPolicy,
  DaxBus,
  daxBusTables,
  daxDeviceTables,
  type DaxDriver,
  DeviceDax,
} from "@hetmem/dax";
import { Kmem, type KmemPolicy } from "@hetmem/dax-kmem";
import { run } from "@hetmem/kernel";
import type { Pagemaps } from "@hetmem/memremap";
import type { Vm } from "@hetmem/mm";
import type { ResourceTree } from "@hetmem/resource";
import type { AttributeTable } from "@hetmem/vfs";

/** Policy: how a release shows dax devices to user space, and what it makes of them. */
export interface DaxPolicy {
  /** Where namespaces of persistent memory come up. @see 730926c3b099 */
  readonly subsystem: "bus" | "class";
  /** undefined: memory of a device can't become RAM. */
  readonly kmem: KmemPolicy | undefined;
  /** Errnos of writes to a driver's `bind`. */
  readonly bind: BindPolicy;
}

export interface MachineDax {
  readonly bus: DaxBus;
  readonly deviceDax: DeviceDax;
  readonly kmem: Kmem | undefined;
  readonly tables: readonly AttributeTable[];
  /** The driver that namespaces are given to, where there is no bus on which one finds them. */
  readonly compatDriver: DaxDriver | undefined;
}

export interface MachineDaxOptions {
  readonly vm: Vm;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly policy: DaxPolicy;
}

export function createDax({ vm, iomem, pagemaps, policy }: MachineDaxOptions): MachineDax {
  const bus = new DaxBus({ kernel: vm.kernel, iomem, bindPolicy: policy.bind });
  const deviceDax = new DeviceDax({ vm, pagemaps });
  const kmem =
    policy.kmem && new Kmem({ hotplug: pagemaps.hotplug, memoryTypes: vm.tiers, policy: policy.kmem });
  const hasBus = policy.subsystem === "bus" || kmem !== undefined;
  if (hasBus) for (const driver of [deviceDax, kmem]) if (driver) run(bus.registerDriver(driver));
  const tables = daxBusTables(bus).filter(({ root }) => hasBus || root !== "/sys/bus/dax");
  return {
    bus,
    deviceDax,
    kmem,
    tables: [...tables, ...daxDeviceTables(bus)],
    compatDriver: policy.subsystem === "class" ? deviceDax : undefined,
  };
}
