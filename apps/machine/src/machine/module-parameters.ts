// /sys/module/memory_hotplug/parameters: the switches of the placement policy. Kernel counterpart: the module
// parameters of mm/memory_hotplug.c.
import { KernelError, kstrtobool, kstrtouint } from "@hetmem/kernel";
import type { KernelOptions } from "@hetmem/machine-spec";
import type { AttributeTable } from "@hetmem/vfs";
import type { OnlinePolicyParameters } from "@hetmem/zone";

/** The kernel's defaults, unless the options say otherwise. */
export function onlinePolicyParameters(options: KernelOptions): OnlinePolicyParameters {
  return {
    online_policy: options.placement === "auto-movable" ? "auto-movable" : "contig-zones",
    auto_movable_ratio: options.auto_movable_ratio ?? 301,
    auto_movable_numa_aware: options.auto_movable_numa_aware ?? true,
  };
}

export function memoryHotplugParameters(
  parameters: OnlinePolicyParameters,
  memmapOnMemory: boolean,
): AttributeTable {
  return {
    root: "/sys/module/memory_hotplug/parameters",
    files: {
      memmap_on_memory: { show: () => `${memmapOnMemory ? "Y" : "N"}\n` },
      online_policy: {
        show: () => `${parameters.online_policy}\n`,
        store: (_params, text) => {
          const policy = text.trim();
          if (policy !== "contig-zones" && policy !== "auto-movable") {
            throw new KernelError(
              "EINVAL",
              `"${policy}" is not a policy: write contig-zones or auto-movable`,
            );
          }
          parameters.online_policy = policy;
        },
      },
      auto_movable_ratio: {
        show: () => `${parameters.auto_movable_ratio}\n`,
        store: (_params, text) => {
          parameters.auto_movable_ratio = kstrtouint(text);
        },
      },
      auto_movable_numa_aware: {
        show: () => `${parameters.auto_movable_numa_aware ? "Y" : "N"}\n`,
        store: (_params, text) => {
          parameters.auto_movable_numa_aware = kstrtobool(text);
        },
      },
    },
  };
}
