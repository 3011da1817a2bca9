// Kernel options as parts: what a machine loses with each option that its kernel was built without. Files that are shown only with
// an option look at `parts.config` where the machine is put together. Kernel counterparts: the obj-$(CONFIG_…) lines of Makefiles,
// and the stubs of headers.
import { gpuDriver } from "@hetmem/gpu";
import type { KconfigName } from "@hetmem/machine-spec";
import { type MemoryType, MemoryType as Type, noDeviceMemory } from "@hetmem/memremap";
import { noHugeCollapse, noHugetlb, noPromotion, noSwap } from "@hetmem/mm/ports";
import { neverRemovable } from "@hetmem/zone";
import { deviceDax, isKmem } from "./dax-drivers.ts";
import type { MachineParts } from "./machine-parts.ts";
import { noCharging } from "./memcg-charging.ts";

/** The parts that take the place of an option's. */
type Without = (parts: MachineParts) => Partial<MachineParts>;

const WITHOUT: Partial<Record<KconfigName, Without>> = {
  DEVICE_PRIVATE: withoutType(Type.DevicePrivate),
  DEVICE_PUBLIC: withoutType(Type.DevicePublic),
  DEV_DAX: ({ daxDrivers }) => ({ daxDrivers: daxDrivers.filter((driver) => driver !== deviceDax) }),
  DEV_DAX_KMEM: ({ daxDrivers }) => ({ daxDrivers: daxDrivers.filter((driver) => !isKmem(driver)) }),
  HMM_MIRROR: withoutReferenceGpu,
  HUGETLB_PAGE: () => ({ hugetlb: () => noHugetlb }),
  MEMCG: () => ({ charging: noCharging }),
  MEMORY_HOTREMOVE: () => ({ removable: neverRemovable }),
  NUMA_BALANCING: () => ({ promotion: () => noPromotion }),
  SWAP: () => ({ swap: () => noSwap }),
  TEST_HMM: withoutReferenceGpu,
  TRANSPARENT_HUGEPAGE: () => ({ khugepaged: () => noHugeCollapse }),
  ZONE_DEVICE: ({ pagemaps }) => ({ pagemaps: { ...pagemaps, memoryTypes: noDeviceMemory } }),
};

/** The parts of a release without those of options that aren't set. */
export function withConfig(release: MachineParts, config: ReadonlySet<KconfigName>): MachineParts {
  let parts: MachineParts = { ...release, config };
  for (const option of release.config)
    if (!config.has(option)) parts = { ...parts, ...WITHOUT[option]?.(parts) };
  return parts;
}

/** The reference driver stands for lib/test_hmm.c, and mirrors. */
function withoutReferenceGpu({ gpuDrivers }: MachineParts): Partial<MachineParts> {
  return { gpuDrivers: gpuDrivers.filter((driver) => driver !== gpuDriver) };
}

function withoutType(gone: MemoryType): Without {
  return ({ pagemaps }) => ({
    pagemaps: {
      ...pagemaps,
      memoryTypes: new Set([...pagemaps.memoryTypes].filter((type) => type !== gone)),
    },
  });
}
