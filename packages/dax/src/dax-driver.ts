// The port that drivers of dax devices implement: device_dax, kmem, and your own. A driver gets the devices whose names
// it was given; one driver of a bus gets whatever nobody else has claimed. Kernel counterpart: struct dax_device_driver
// in drivers/dax/bus.h.
import type { Sleeps } from "@hetmem/kernel";
import type { DevDax } from "./dev-dax.ts";

export interface DaxDriver {
  /** As /sys/bus/dax/drivers lists it. */
  readonly name: string;
  /** Takes every device that it meets, without being given its name. A bus has one such driver at most. */
  readonly matchAlways?: boolean;
  /**
   * Takes a device over; its device lock is held. All or nothing.
   *
   * @throws KernelError ENODEV or ENXIO where the device isn't one for this driver; others are logged
   */
  probe(device: DevDax): Sleeps<void>;
  /** Lets go of a device; its device lock is held. It can't refuse: what can't be undone stays, and is logged. */
  remove(device: DevDax): Sleeps<void>;
}
