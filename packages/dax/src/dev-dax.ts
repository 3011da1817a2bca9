// A dax device: a part of a region, of one range or of several, which a driver makes something of. It exists whether or
// not a driver has it; processes can reach it only while it is alive, and it is dead while no driver runs it. Kernel
// counterpart: struct dev_dax in drivers/dax/dax-private.h, struct dax_device in drivers/dax/super.c.
import { type Kernel, type LogLevel, Mutex, type PhysAddr } from "@hetmem/kernel";
import type { Inode } from "@hetmem/mm";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DaxRegion } from "./dax-region.ts";
import { Ida } from "./ida.ts";

/** A range of a device and where it lies in it. @see struct dev_dax_range */
export interface DevDaxRange {
  /** Page of the device at which it begins. */
  readonly pgoff: number;
  readonly start: PhysAddr;
  /** Last byte. */
  end: PhysAddr;
  /** Number of its `mapping` directory; undefined while it has none. */
  mapping: number | undefined;
}

/** Where a device's struct pages go when its provider has set memory aside for them. @see struct vmem_altmap */
export interface DaxAltmap {
  /** Frames at the start of the provider's range that it keeps for itself. */
  readonly reserve: number;
  /** Frames behind those that struct pages may use. */
  readonly free: number;
}

/** What the provider of a static region wants mapped: its metadata too, if struct pages lie behind it. @see struct dev_pagemap */
export interface DaxPagemap {
  /** First byte. */
  readonly start: PhysAddr;
  /** Last byte. */
  readonly end: PhysAddr;
  readonly altmap?: DaxAltmap;
}

/** Where user space finds a device: on the dax bus, or, as before 5.1, in the class of that name. */
export type DaxSubsystem = "bus" | "class";

export class DevDax {
  readonly bus: DaxBus;
  readonly region: DaxRegion;
  /** The M of daxN.M; undefined once the device is being deleted. */
  id: number | undefined;
  readonly name: string;
  readonly subsystem: DaxSubsystem;
  readonly minor: number;
  /** Given by a static region's provider; a dynamic device is mapped as its ranges are. */
  readonly pagemap: DaxPagemap | undefined;
  /** Bytes: what mappings are made of, and faults. */
  align: number;
  /** Ascending in `pgoff`, without holes. */
  readonly ranges: DevDaxRange[] = [];
  readonly mappingIds: Ida = new Ida();
  /** @see device_lock() */
  readonly lock: Mutex;
  driver: DaxDriver | undefined = undefined;
  /** Whether it is in /sys. */
  registered = false;
  /** Whether processes may map it. @see dax_alive() */
  alive = false;
  /** What mappings of it are mappings of, from its first use by device_dax on. @see dax_inode() */
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

  /** The node that its memory would be, if it became RAM; -1 where the firmware doesn't say. */
  get targetNode(): number {
    return this.region.targetNode;
  }

  /** Bytes of all its ranges. @see dev_dax_size() */
  get size(): number {
    return this.ranges.reduce((sum, range) => sum + rangeSize(range), 0);
  }

  /** Path below /sys. A class device stands in a directory of the class's name. */
  get devpath(): string {
    const { devpath } = this.region.parent;
    return this.subsystem === "bus" ? `${devpath}/${this.name}` : `${devpath}/dax/${this.name}`;
  }

  /** Writes to the log under the names of its driver and its own. @see dev_printk(), dev_driver_string() */
  printk(level: LogLevel, text: string): void {
    this.kernel.log.printk(level, `${this.driver?.name ?? "dax"} ${this.name}: ${text}`);
  }
}

/** Bytes. @see range_len() */
export function rangeSize({ start, end }: { readonly start: number; readonly end: number }): number {
  return end - start + 1;
}

/** A range as the log prints it: both ends included. */
export function formatRange({ start, end }: { readonly start: number; readonly end: number }): string {
  return `0x${start.toString(16)}-0x${end.toString(16)}`;
}
