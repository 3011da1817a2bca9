// The port that drivers of dax devices implement: device_dax, kmem, and your own. A driver binds the devices whose
// names were written to its new_id; one driver of a bus may match all others. Kernel counterpart: struct
// dax_device_driver in drivers/dax/bus.h.
import type { Sleeps } from "@hetmem/kernel";
import type { DevDax } from "./dev-dax.ts";

export interface DaxDriver {
  /** Name in /sys/bus/dax/drivers. */
  readonly name: string;
  /** Whether the driver matches every device without new_id. A bus has at most one such driver. */
  readonly matchAlways?: boolean;
  /**
   * Binds a device. The device lock is held. A probe that throws has changed nothing.
   *
   * @throws KernelError ENODEV or ENXIO when the device isn't suitable; other errors are logged by the bus
   */
  probe(device: DevDax): Sleeps<void>;
  /**
   * Unbinds a device. The device lock is held. remove() can't fail: state that can't be undone stays, and the driver
   * logs it.
   */
  remove(device: DevDax): Sleeps<void>;
}
