// A kernel release as a set of parts. Nothing asks for a version: each rule that changed is a value in the package that owns it,
// and a profile names those that its release follows. A profile is spread and overridden: `{ ...PROFILES["v6.1"], placement }`.
import { bindAnswersNoDevice, bindAnswersProbe } from "@hetmem/dax";
import { kmemAddOnly, kmemGrouped } from "@hetmem/dax-kmem";
import { gpuDriver } from "@hetmem/gpu";
import { standardMigrationPolicies } from "@hetmem/gpu/driver";
import { gupBenchmark, gupTest } from "@hetmem/gup";
import { SimulatedClock } from "@hetmem/kernel";
import type { KconfigName, ProfileName } from "@hetmem/machine-spec";
import {
  coherentDeviceMemory,
  defaultPagemapPolicies,
  idleAtZero,
  sharedTailStructPages,
  subsectionCollision,
} from "@hetmem/memremap";
import { alignedLayout, sectionLayout } from "@hetmem/nvdimm";
import { alwaysRemovable, autoOnlineAnyType, autoOnlineOrNot, removableByContents } from "@hetmem/zone";
import { deviceDax, kmem } from "./dax-drivers.ts";
import type { MachineParts } from "./machine-parts.ts";
import { memcgCharging } from "./memcg-charging.ts";
import { standardOnlinePolicies } from "./online-policies.ts";
import { anyOrder, byOnlinePolicy, placementOf, strict } from "./placements.ts";
import { vmParts } from "./vm-parts.ts";

const CONFIG_4_14: readonly KconfigName[] = [
  "ARCH_MEMORY_PROBE",
  "CGROUPS",
  "DEVICE_PRIVATE",
  "DEVICE_PUBLIC",
  "DEV_DAX",
  "GUP_TEST",
  "HMM_MIRROR",
  "HUGETLB_PAGE",
  "MEMCG",
  "MEMCG_KMEM",
  "MEMORY_FAILURE",
  "MEMORY_HOTPLUG",
  "MEMORY_HOTREMOVE",
  "NUMA_BALANCING",
  "NVDIMM_DAX",
  "NVDIMM_PFN",
  "PSI",
  "SWAP",
  "TEST_HMM",
  "TRANSPARENT_HUGEPAGE",
  "ZONE_DEVICE",
];
const CONFIG_5_1: readonly KconfigName[] = [...CONFIG_4_14, "DEV_DAX_HMEM", "DEV_DAX_KMEM"];
const CONFIG_6_1: readonly KconfigName[] = [
  ...CONFIG_5_1.filter((option) => option !== "DEVICE_PUBLIC"),
  "MHP_MEMMAP_ON_MEMORY",
];

/**
 * The rule that f1dd2cd13c4b brought in 2017, on which HMM was built. c6f03e2903c9 lifted it before 4.14 was final: the option
 * `placement: any-order` has that.
 */
const v4_14: MachineParts = {
  ...vmParts,
  config: new Set(CONFIG_4_14),
  daxDrivers: [deviceDax],
  daxSubsystem: "class",
  bindPolicy: bindAnswersNoDevice,
  placement: placementOf(strict),
  autoOnlineTypes: autoOnlineOrNot,
  removable: removableByContents,
  onlinePolicies: [],
  charging: memcgCharging,
  pagemaps: defaultPagemapPolicies,
  pfnLayout: sectionLayout,
  gpuDrivers: [gpuDriver],
  gpuPolicies: standardMigrationPolicies,
  memoryTiering: false,
  gupTest: gupBenchmark,
  udevRules: [],
  programs: {},
  clock: () => new SimulatedClock(),
};

const v5_1: MachineParts = {
  ...v4_14,
  config: new Set(CONFIG_5_1),
  daxDrivers: [deviceDax, kmem(kmemAddOnly)],
  daxSubsystem: "bus",
  placement: placementOf(anyOrder),
};

const v6_1: MachineParts = {
  ...v5_1,
  config: new Set(CONFIG_6_1),
  daxDrivers: [deviceDax, kmem(kmemGrouped)],
  bindPolicy: bindAnswersProbe,
  placement: placementOf(byOnlinePolicy),
  autoOnlineTypes: autoOnlineAnyType,
  removable: alwaysRemovable,
  onlinePolicies: standardOnlinePolicies,
  pagemaps: {
    memoryTypes: coherentDeviceMemory,
    collision: subsectionCollision,
    idle: idleAtZero,
    structPages: sharedTailStructPages,
  },
  pfnLayout: alignedLayout,
  memoryTiering: true,
  gupTest,
};

/** Machines share them: neither a profile nor a list of one can be changed. */
export const PROFILES: Readonly<Record<ProfileName, MachineParts>> = Object.freeze({
  "v4.14": frozen(v4_14),
  "v5.1": frozen(v5_1),
  "v6.1": frozen(v6_1),
});

function frozen(release: MachineParts): MachineParts {
  for (const part of Object.values(release)) if (Array.isArray(part)) Object.freeze(part);
  return Object.freeze(release);
}
