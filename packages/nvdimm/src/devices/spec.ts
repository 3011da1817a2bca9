// The firmware's description of persistent memory, as in the ACPI NFIT table: modules, and physical ranges
// interleaved over them. Kernel counterpart: drivers/acpi/nfit/core.c.
import type { Kernel } from "@hetmem/kernel";
import type { ResourceTree } from "@hetmem/resource";
import type { DimmMedia } from "../media/dimm-media.ts";
import type { PfnLayoutPolicy } from "../drivers/pfn-layout.ts";
import type { NewUuid, NvdimmMappings, SecurityKeys } from "./ports.ts";
import type { ClaimKind } from "./claim.ts";

/** One module. @see struct acpi_nfit_control_region */
export interface DimmSpec {
  /** The hardware state, which outlives the bus. */
  readonly media: DimmMedia;
  /** Default: its number from 1 on. */
  readonly handle?: number;
  /** Default: its number from 0 on. */
  readonly physId?: number;
  /** Vendor id in the byte order of the table: Intel's is 0x8680. */
  readonly vendor?: number;
  readonly device?: number;
  readonly serial?: number;
  /** Number of flush hint addresses, by which the write queue can be drained. */
  readonly flushHints?: number;
  /** Whether the module has security commands. */
  readonly security?: boolean;
}

/**
 * A physical range: interleaved over modules in 4 KiB units, or without modules (`memmap=`).
 *
 * @see struct acpi_nfit_system_address
 */
export interface RegionSpec {
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Module numbers in interleave order, with the first device address of each. */
  readonly mappings: readonly { readonly dimm: number; readonly start: number }[];
  /** The medium of a region without modules. */
  readonly media?: DimmMedia;
  /** Node of the nearest cpus. */
  readonly numaNode: number;
  /** Node of the memory when it is hotplugged as RAM; -1 when the firmware names none. */
  readonly targetNode: number;
  /** Persistence domain reported by the platform; absent for none. */
  readonly persistenceDomain?: "cpu_cache" | "memory_controller";
}

/**
 * Firmware commands: scrub, clear and inject errors (`ars`); labels only (`labels`, as in QEMU); or none (`none`:
 * ranges from the kernel command line).
 */
export type Firmware = "ars" | "labels" | "none";

export interface NvdimmBusSpec {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  /** Number of the bus; default 0. */
  readonly id?: number;
  /** `ACPI.NFIT` or `e820`. */
  readonly provider: string;
  /** Path of the parent device below /sys. */
  readonly parent: string;
  readonly dimms: readonly DimmSpec[];
  readonly regions: readonly RegionSpec[];
  readonly firmware: Firmware;
  readonly mappings: NvdimmMappings;
  readonly newUuid: NewUuid;
  readonly keys?: SecurityKeys;
  /** Default: alignedLayout, as since 5.3. */
  readonly pfnLayout?: PfnLayoutPolicy;
  /** The personalities that a namespace may have; all when absent. @see CONFIG_BTT, CONFIG_NVDIMM_PFN, CONFIG_NVDIMM_DAX */
  readonly claimKinds?: readonly ClaimKind[];
  /** Port of a workqueue: called when `runNfitWork()` has work. */
  readonly onWork?: () => void;
}
