// What firmware tells of a machine's persistent memory, as the ACPI NFIT table does: modules, and the physical ranges that they
// make up. Kernel counterpart: drivers/acpi/nfit/core.c.
import type { Kernel } from "@hetmem/kernel";
import type { ResourceTree } from "@hetmem/resource";
import type { DimmMedia } from "../media/dimm-media.ts";
import type { PfnLayoutPolicy } from "../drivers/pfn-layout.ts";
import type { NewUuid, NvdimmMappings, SecurityKeys } from "./ports.ts";

/** One module. @see struct acpi_nfit_control_region */
export interface DimmSpec {
  /** The hardware, which outlives the bus. */
  readonly media: DimmMedia;
  /** Default: its number from 1 on. */
  readonly handle?: number;
  /** Default: its number from 0 on. */
  readonly physId?: number;
  /** As the bytes lie in the table, most significant first: 0x8680 is Intel. */
  readonly vendor?: number;
  readonly device?: number;
  readonly serial?: number;
  /** Flush hint addresses: what stands in the write queue can be drained. */
  readonly flushHints?: number;
  /** Whether it has the commands that lock and unlock it. */
  readonly security?: boolean;
}

/** A physical range: interleaved over modules page by page, or without any (`memmap=`). @see struct acpi_nfit_system_address */
export interface RegionSpec {
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Numbers of the modules, in the order of interleaving, with the first byte of each that belongs to it. */
  readonly mappings: readonly { readonly dimm: number; readonly start: number }[];
  /** What a region without modules is made of. */
  readonly media?: DimmMedia;
  /** Node of the cpus next to it. */
  readonly numaNode: number;
  /** Node that its memory becomes when it is made RAM; -1 where firmware doesn't say. */
  readonly targetNode: number;
  /** What the platform says it saves when the power fails; absent where it says nothing. */
  readonly persistenceDomain?: "cpu_cache" | "memory_controller";
}

/**
 * What firmware can be asked for: to scrub, to clear and to inject errors (`ars`); only for labels (`labels`, as QEMU's); or for
 * nothing (`none`: ranges of the command line).
 */
export type Firmware = "ars" | "labels" | "none";

export interface NvdimmBusSpec {
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  /** Number of the bus; default 0. */
  readonly id?: number;
  /** `ACPI.NFIT` or `e820`. */
  readonly provider: string;
  /** Path of its parent below /sys. */
  readonly parent: string;
  readonly dimms: readonly DimmSpec[];
  readonly regions: readonly RegionSpec[];
  readonly firmware: Firmware;
  readonly mappings: NvdimmMappings;
  readonly newUuid: NewUuid;
  readonly keys?: SecurityKeys;
  /** Default: alignedLayout, as since 5.3. */
  readonly pfnLayout?: PfnLayoutPolicy;
  /** Told when there is work for `runNfitWork()`: a workqueue's place. */
  readonly onWork?: () => void;
}
