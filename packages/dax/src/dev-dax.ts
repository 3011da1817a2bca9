// A dax device: one or more ranges of a region, which a driver can bind. The device exists whether or not it is
// bound. Processes can map it only while it is alive, that is while device_dax is bound. Kernel counterpart: struct
// dev_dax in drivers/dax/dax-private.h, struct dax_device in drivers/dax/super.c.
import { type Kernel, type LogLevel, Mutex, type PhysAddr } from "@hetmem/kernel";
import type { Inode } from "@hetmem/page-cache";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DaxRegion } from "./dax-region.ts";
import { Ida } from "./ida.ts";
import "./version.ts";

/** A range of a device and its offset in the device. @see struct dev_dax_range */
export interface DevDaxRange {
  /** Page offset in the device. */
  readonly pgoff: number;
  readonly start: PhysAddr;
  /** Last byte. */
  end: PhysAddr;
  /** Number of the `mapping` directory; undefined while there is none. */
  mapping: number | undefined;
}

/** Memory of the device that its provider set aside for struct pages. @see struct vmem_altmap */
export interface DaxAltmap {
  /** Frames at the start of the provider's range that are reserved for the provider. */
  readonly reserve: number;
  /** Frames after those for struct pages. */
  readonly free: number;
}

/**
 * The range for which the provider of a static region wants struct pages: includes its metadata when struct pages are
 * stored there.
 *
 * @see struct dev_pagemap
 */
export interface DaxPagemap {
  /** First byte. */
  readonly start: PhysAddr;
  /** Last byte. */
  readonly end: PhysAddr;
  readonly altmap?: DaxAltmap;
}

/** The subsystem that lists a device: the dax bus, or the class dax as before 5.1. */
export type DaxSubsystem = "bus" | "class";

export class DevDax {
  readonly bus: DaxBus;
  readonly region: DaxRegion;
  /** The M of daxN.M; undefined while the device is being deleted. */
  id: number | undefined;
  readonly name: string;
  readonly subsystem: DaxSubsystem;
  readonly minor: number;
  /** Set by the provider of a static region. A dynamic device's struct pages cover exactly its ranges. */
  readonly pagemap: DaxPagemap | undefined;
  /** Bytes: the unit of mappings and the size of entries. */
  align: number;
  /** Ranges ascending in `pgoff`, without holes. */
  readonly ranges: DevDaxRange[] = [];
  readonly mappingIds: Ida = new Ida();
  /** @see device_lock() */
  readonly lock: Mutex;
  driver: DaxDriver | undefined = undefined;
  /** Whether the device is in /sys. */
  registered = false;
  /** Whether processes can map the device. @see dax_alive() */
  alive = false;
  /** Owner of the address space of all mappings; created at the first probe by device_dax. @see dax_inode() */
  inode: Inode | undefined = undefined;

  constructor(
    region: DaxRegion,
    id: number,
    options: { subsystem: DaxSubsystem; minor: number; pagemap: DaxPagemap | undefined },
  ) {
    this.bus = region.bus;
    this.region = region;
    this.id = id;
    this.name = `dax${region.id}.${id}`;
    this.subsystem = options.subsystem;
    this.minor = options.minor;
    this.pagemap = options.pagemap;
    this.align = region.align;
    this.lock = new Mutex(this.kernel.lockdep, `device lock of ${this.name}`);
  }

  get kernel(): Kernel {
    return this.bus.kernel;
  }

  /** The node of the memory when it is hotplugged as RAM; -1 when the firmware names none. */
  get targetNode(): number {
    return this.region.targetNode;
  }

  /** Bytes of all ranges. @see dev_dax_size() */
  get size(): number {
    return this.ranges.reduce((sum, range) => sum + rangeSize(range), 0);
  }

  /** Path below /sys. A class device is in a subdirectory named after the class. */
  get devpath(): string {
    const { devpath } = this.region.parent;
    return this.subsystem === "bus" ? `${devpath}/${this.name}` : `${devpath}/dax/${this.name}`;
  }

  /** Logs with the prefix "driver device: ". @see dev_printk(), dev_driver_string() */
  printk(level: LogLevel, text: string): void {
    this.kernel.log.printk(level, `${this.driver?.name ?? "dax"} ${this.name}: ${text}`);
  }
}

/** Size in bytes of a range. @see range_len() */
export function rangeSize({ start, end }: { readonly start: number; readonly end: number }): number {
  return end - start + 1;
}

/** A range in the format of the log, with its last byte. */
export function formatRange({ start, end }: { readonly start: number; readonly end: number }): string {
  return `0x${start.toString(16)}-0x${end.toString(16)}`;
}
