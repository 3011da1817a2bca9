// The port that drivers of dax devices implement: device_dax, kmem, and your own. A driver binds the devices whose
// names were written to its new_id; one driver of a bus may match all others. Kernel counterpart: struct
// dax_device_driver in drivers/dax/bus.h.
import type { Sleeps } from "@hetmem/kernel";
import type { FileObject } from "@hetmem/mm/file";
import type { DevDax } from "./dev-dax.ts";

export interface DaxDriver {
  /** Name in /sys/bus/dax/drivers. */
  readonly name: string;
  /** Whether the driver matches every device without new_id. A bus has at most one such driver. */
  readonly matchAlways?: boolean;
  /** Whether memory that the driver has made RAM stays until the next boot when the driver lets go of its device. */
  readonly keepsMemory?: boolean;
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
  /**
   * Opens /dev/daxN.M. Absent: devices of this driver have no file.
   *
   * @throws KernelError ENXIO when the driver isn't bound to the device
   */
  open?(device: DevDax, writable: boolean): FileObject;
}
