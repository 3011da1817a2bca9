// Differences between releases in the result of a write to a driver's `bind` file. The profile of a machine chooses
// one policy. Kernel counterpart: bind_store() in drivers/base/bus.c, device_driver_attach() in drivers/base/dd.c.
import { KernelError } from "@hetmem/kernel";

export interface BindPolicy {
  /** The error for the writer when the device is bound already or probe() fails. */
  answer(refused: KernelError): KernelError;
}

/** Before 5.14: ENODEV, whatever the reason. */
export const bindAnswersNoDevice: BindPolicy = {
  answer: ({ reason }) => new KernelError("ENODEV", reason),
};

/**
 * Since 5.14: EBUSY for a bound device, else the error of probe().
 *
 * @see "driver core: Flow the return code from ->probe() through to sysfs bind"
 */
export const bindAnswersProbe: BindPolicy = { answer: (refused) => refused };
