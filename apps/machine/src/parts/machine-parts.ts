// The parts of a machine that a caller may choose: drivers, policies, and what serves address spaces. createMachine() takes any
// of them, and the profile of the specification has the others. A part is a value, or a function that makes it from the parts
// of the machine that stand below it.
import type { BindPolicy, DaxDriver } from "@hetmem/dax";
import type { GpuDriver, MigrationPolicyChoice } from "@hetmem/gpu/driver";
import type { GupTestPolicy } from "@hetmem/gup";
import type { Clock } from "@hetmem/kernel";
import type { DeviceRule, KconfigName, KernelOptions } from "@hetmem/machine-spec";
import type { PagemapPolicies, Pagemaps } from "@hetmem/memremap";
import type { Vm, VmParts } from "@hetmem/mm";
import type { PfnLayoutPolicy } from "@hetmem/nvdimm";
import type {
  Memory,
  MemoryGroups,
  MemorySysfsOptions,
  OnlinePolicies,
  OnlinePolicy,
  Placement,
  RemovablePolicy,
} from "@hetmem/zone";
import type { Programs } from "../programs/machine-program.ts";
import type { ChargingPart } from "./charging-part.ts";

/** The parts of a machine from which a driver of the dax bus is made. */
export interface DaxDriverHost {
  readonly vm: Vm;
  /** Pagemaps of the machine; `pagemaps.hotplug` adds memory. */
  readonly pagemaps: Pagemaps;
}

/** Makes a driver of the dax bus. Called at each boot. */
export type DaxDriverPart = (host: DaxDriverHost) => DaxDriver;

/** The parts of a machine from which a placement policy is made. */
export interface PlacementHost {
  readonly memory: Memory;
  readonly groups: MemoryGroups;
  /** Boot options of the specification. */
  readonly options: KernelOptions;
  /** The online policies, of which user space may choose one. */
  readonly onlinePolicies: OnlinePolicies;
}

/** Makes a placement policy. Called at each boot. */
export type PlacementPart = (host: PlacementHost) => Placement;

export interface MachineParts extends Required<VmParts> {
  /**
   * Options that the kernel was built with. Those of a profile, the specification's or one that is spread, follow `options.kconfig` of
   * the specification. A set of your own takes the place of both.
   */
  readonly config: ReadonlySet<KconfigName>;
  /**
   * Drivers of the dax bus, in order of precedence: the first that matches a device gets it, and of two drivers with one name the
   * first is registered.
   */
  readonly daxDrivers: readonly DaxDriverPart[];
  /** The bus or class in which dax devices of persistent memory appear. @see 730926c3b099 */
  readonly daxSubsystem: "bus" | "class";
  /** Errnos of writes to a dax driver's `bind`. */
  readonly bindPolicy: BindPolicy;
  /** The zone of memory that goes online. Those of the profiles follow the option `placement`. */
  readonly placement: PlacementPart;
  /** The values of auto_online_blocks. */
  readonly autoOnlineTypes: MemorySysfsOptions["autoOnlineTypes"];
  /** The file `removable` of a memory block. */
  readonly removable: RemovablePolicy;
  /**
   * Values of /sys/module/memory_hotplug/parameters/online_policy, with their parameters; the first is in force at boot. Without any
   * the module has no parameters, as in v5.1. A `placement` of your own asks them only if it wants to.
   */
  readonly onlinePolicies: readonly OnlinePolicy[];
  /** The charging of pages: to memory cgroups, to none, or to a client of your own. */
  readonly charging: ChargingPart;
  /** How device memory gets its struct pages. */
  readonly pagemaps: PagemapPolicies;
  /** How namespaces are laid out that get struct pages. */
  readonly pfnLayout: PfnLayoutPolicy;
  /** Drivers of gpus, in order of precedence: the first that matches a device, and whose probe succeeds, drives it. */
  readonly gpuDrivers: readonly GpuDriver[];
  /**
   * Migration policies that a machine file can name; of two with one name, the first. The first of all is that of a gpu for which
   * none is named.
   */
  readonly gpuPolicies: readonly MigrationPolicyChoice[];
  /** Whether /sys shows memory tiers. @see 9832fb87834e */
  readonly memoryTiering: boolean;
  /** The kernel's own test of pinning. It came with 4.15; the profile of 4.14 has it, for nothing else pins pages there. */
  readonly gupTest: GupTestPolicy;
  /** Rules for new dax devices, before those of the specification: the first that matches runs its command. */
  readonly udevRules: readonly DeviceRule[];
  /** Programs of openShell(), besides the standard ones, which they replace where a name is the same. */
  readonly programs: Programs;
  /** Makes the clock of a boot. */
  readonly clock: () => Clock;
}
