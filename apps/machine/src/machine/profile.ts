// A kernel release as a choice of policies. Nothing asks for a version: each rule that changed is an object in the
// package that owns it, and a profile names the ones that its release follows.
import { bindAnswersNoDevice, bindAnswersProbe } from "@hetmem/dax";
import { kmemAddOnly, kmemGrouped } from "@hetmem/dax-kmem";
import { gupBenchmark, gupTest, type GupTestPolicy } from "@hetmem/gup";
import type { KernelOptions, ProfileName } from "@hetmem/machine-spec";
import {
  coherentDeviceMemory,
  defaultPagemapPolicies,
  idleAtZero,
  type PagemapPolicies,
  sharedTailStructPages,
  subsectionCollision,
} from "@hetmem/memremap";
import { alignedLayout, type PfnLayoutPolicy, sectionLayout } from "@hetmem/nvdimm";
import {
  alwaysRemovable,
  anyOrderPlacement,
  autoOnlineAnyType,
  autoOnlineOrNot,
  type MemoryGroups,
  type MemorySysfsOptions,
  type OnlinePolicyParameters,
  onlinePolicyPlacement,
  type Placement,
  removableByContents,
  type RemovablePolicy,
  strictPlacement,
} from "@hetmem/zone";
import type { DaxPolicy } from "./devices/dax-bus.ts";

export interface Profile {
  readonly name: ProfileName;
  readonly placement: NonNullable<KernelOptions["placement"]> | "online-policy";
  readonly removable: RemovablePolicy;
  readonly autoOnlineTypes: MemorySysfsOptions["autoOnlineTypes"];
  /** Whether the module memory_hotplug has parameters. */
  readonly moduleParameters: boolean;
  /** The kernel's own test of pinning. It came with 4.15; the profile of 4.14 has it, for nothing else pins pages there. */
  readonly gupTest: GupTestPolicy;
  /** How device memory gets its struct pages. */
  readonly pagemaps: PagemapPolicies;
  readonly dax: DaxPolicy;
  /** How namespaces are laid out that get struct pages. */
  readonly pfnLayout: PfnLayoutPolicy;
  /** Whether /sys shows memory tiers. @see 9832fb87834e */
  readonly memoryTiering: boolean;
}

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  // The rule that f1dd2cd13c4b brought in 2017, on which HMM was built. c6f03e2903c9 lifted it before 4.14 was final:
  // the option `placement: any-order` has that.
  "v4.14": {
    name: "v4.14",
    placement: "strict",
    removable: removableByContents,
    autoOnlineTypes: autoOnlineOrNot,
    moduleParameters: false,
    gupTest: gupBenchmark,
    pagemaps: defaultPagemapPolicies,
    dax: { subsystem: "class", kmem: undefined, bind: bindAnswersNoDevice },
    pfnLayout: sectionLayout,
    memoryTiering: false,
  },
  "v5.1": {
    name: "v5.1",
    placement: "any-order",
    removable: removableByContents,
    autoOnlineTypes: autoOnlineOrNot,
    moduleParameters: false,
    gupTest: gupBenchmark,
    pagemaps: defaultPagemapPolicies,
    dax: { subsystem: "bus", kmem: kmemAddOnly, bind: bindAnswersNoDevice },
    pfnLayout: sectionLayout,
    memoryTiering: false,
  },
  "v6.1": {
    name: "v6.1",
    placement: "online-policy",
    removable: alwaysRemovable,
    autoOnlineTypes: autoOnlineAnyType,
    moduleParameters: true,
    gupTest,
    pagemaps: {
      memoryTypes: coherentDeviceMemory,
      collision: subsectionCollision,
      idle: idleAtZero,
      structPages: sharedTailStructPages,
    },
    dax: { subsystem: "bus", kmem: kmemGrouped, bind: bindAnswersProbe },
    pfnLayout: alignedLayout,
    memoryTiering: true,
  },
};

/** Parameters of the module memory_hotplug: the kernel's defaults, unless the options say otherwise. */
export function onlinePolicyParameters(options: KernelOptions): OnlinePolicyParameters {
  return {
    online_policy: options.placement === "auto-movable" ? "auto-movable" : "contig-zones",
    auto_movable_ratio: options.auto_movable_ratio ?? 301,
    auto_movable_numa_aware: options.auto_movable_numa_aware ?? true,
  };
}

/** The placement policy of a machine: its profile's, unless the options name another. */
export function placementOf(
  profile: Profile,
  options: KernelOptions,
  parameters: OnlinePolicyParameters,
): (groups: MemoryGroups) => Placement {
  switch (options.placement ?? profile.placement) {
    case "strict":
      return () => strictPlacement;
    case "any-order":
      return () => anyOrderPlacement;
    case "auto-movable":
    case "online-policy":
      return (groups) => onlinePolicyPlacement(parameters, groups);
  }
}
