// What changed between releases in what a write to a driver's `bind` file answers. A profile of a machine chooses one. Kernel
// counterpart: bind_store() in drivers/base/bus.c, device_driver_attach() in drivers/base/dd.c.
import { KernelError } from "@hetmem/kernel";

export interface BindPolicy {
  /** What the writer is told when the driver can't have the device: it is bound already, or probe() refuses. */
  answer(refused: KernelError): KernelError;
}

/** Before 5.14: whatever the reason, there is no such device for this driver. */
export const bindAnswersNoDevice: BindPolicy = {
  answer: ({ reason }) => new KernelError("ENODEV", reason),
};

/**
 * Since 5.14: EBUSY for a device that is bound, else what probe() returned.
 *
 * @see "driver core: Flow the return code from ->probe() through to sysfs bind"
 */
export const bindAnswersProbe: BindPolicy = { answer: (refused) => refused };
