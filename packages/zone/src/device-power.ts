// The `power` directory of a device without power management. Kernel counterpart: drivers/base/power/sysfs.c.
import { KernelError } from "@hetmem/kernel";
import type { Attribute } from "@hetmem/vfs";

/**
 * @param directory pattern of the device's directory below the table's root, with a slash at the end, or "" for the
 * root
 */
export function devicePowerFiles(directory: string): Record<string, Attribute> {
  const files: Record<string, Attribute> = {
    autosuspend_delay_ms: { mode: 0o644, show: neverSuspends, store: neverSuspends },
    control: {
      show: () => "auto\n",
      store(_params, text) {
        if (text.trim() !== "auto")
          throw new KernelError("EINVAL", "such a device has no power management: write auto");
      },
    },
    runtime_active_time: { show: () => "0\n" },
    runtime_status: { show: () => "unsupported\n" },
    runtime_suspended_time: { show: () => "0\n" },
  };
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [`${directory}power/${name}`, file]));
}

/** @see autosuspend_delay_ms_show() */
function neverSuspends(): never {
  throw new KernelError("EIO", "such a device never suspends by itself");
}
