// /sys/module/memory_hotplug/parameters: whether added blocks hold their own struct pages, the online policy, and the
// parameters of the policies. Kernel counterpart: the module parameters of mm/memory_hotplug.c.
import type { Attribute, AttributeTable } from "@hetmem/vfs";
import type { ModuleParameter, ModuleParameters } from "./module-parameters.ts";
import type { OnlinePolicies } from "./online-policy.ts";

/** @param memmapOnMemory undefined for a kernel that can't place struct pages so. @see CONFIG_MHP_MEMMAP_ON_MEMORY */
export function memoryHotplugParameters(
  policies: OnlinePolicies,
  memmapOnMemory: boolean | undefined,
): AttributeTable {
  return {
    root: "/sys/module/memory_hotplug/parameters",
    files: {
      ...(memmapOnMemory !== undefined && {
        memmap_on_memory: { show: () => `${memmapOnMemory ? "Y" : "N"}\n` },
      }),
      online_policy: {
        show: () => `${policies.current.name}\n`,
        store: (_params, text) => policies.choose(text.replace(/\n$/, "")),
      },
      ...Object.fromEntries(
        policies.declared().map((each) => [each.name, parameterFile(policies.parameters, each)]),
      ),
    },
  };
}

function parameterFile(values: ModuleParameters, parameter: ModuleParameter<unknown>): Attribute {
  return {
    show: () => `${values.read(parameter)}\n`,
    store: (_params, text) => values.write(parameter, text),
  };
}
