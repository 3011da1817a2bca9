// A dax region: a range of memory that somebody provides, and which devices divide among themselves. A static region is
// one device, whose bounds the provider has decided, as a namespace of persistent memory is. A dynamic one is
// partitioned by the administrator. Kernel counterpart: struct dax_region in drivers/dax/dax-private.h.
import { isAligned, KernelBug, KernelError, Mutex, type PhysAddr, type Sleeps } from "@hetmem/kernel";
import { IORESOURCE_MEM, Resource } from "@hetmem/resource";
import type { DaxBus } from "./dax-bus.ts";
import { deviceDel } from "./create-dev-dax.ts";
import { type DevDax, formatRange } from "./dev-dax.ts";
import { Ida } from "./ida.ts";

/** The device that provides a region: a namespace, a platform device. A port. */
export interface DaxParent {
  /** Path below /sys: `devices/platform/hmem.0`. */
  readonly devpath: string;
  /** The node near which the device is; -1 where nobody knows. */
  readonly numaNode: number;
  /** Bad blocks of its media, where somebody keeps a list. */
  readonly poison?: DaxPoison;
}

/** What the provider knows of bad memory. Addresses are of the machine. A port. */
export interface DaxPoison {
  /** Known bad ranges, in part or whole in [start, start + size), both ends included. */
  badRanges(start: PhysAddr, size: number): Iterable<{ readonly start: PhysAddr; readonly end: PhysAddr }>;
  /** Writes over a bad range so that it can be read again. @returns whether it can @see nvdimm_clear_poison() */
  clearPoison(start: PhysAddr, size: number): Sleeps<boolean>;
  /** Whether a cpu can read a range, whatever is known of it. */
  isReadable(start: PhysAddr, size: number): boolean;
  /** A cpu met bad memory in a range: it is known from here on. @see nfit_handle_mce() */
  machineCheck(start: PhysAddr, size: number): void;
}

export interface DaxRegionOptions {
  /** The N of daxN.M. */
  readonly id: number;
  /** First byte. */
  readonly start: PhysAddr;
  /** Bytes. */
  readonly size: number;
  readonly targetNode: number;
  /** Bytes: 4 KiB, 2 MiB or 1 GiB. */
  readonly align: number;
  readonly kind: "static" | "dynamic";
}

export class DaxRegion {
  readonly bus: DaxBus;
  readonly parent: DaxParent;
  readonly id: number;
  readonly targetNode: number;
  readonly align: number;
  readonly kind: "static" | "dynamic";
  /** Which parts of it are which device's. */
  readonly resource: Resource;
  readonly ids: Ida = new Ida();
  /** In the order in which they came. */
  readonly devices: DevDax[] = [];
  /** The device that was created and never bound: the one to be configured next. */
  seed: DevDax | undefined = undefined;
  /** The device that was created last. */
  youngest: DevDax | undefined = undefined;
  /** The device lock of the parent: who divides the region holds it. Taken before a device's own. */
  readonly lock: Mutex;
  /** Whether the provider still provides it. */
  enabled = true;

  constructor(bus: DaxBus, parent: DaxParent, options: DaxRegionOptions) {
    this.bus = bus;
    this.parent = parent;
    this.id = options.id;
    this.targetNode = options.targetNode;
    this.align = options.align;
    this.kind = options.kind;
    this.resource = new Resource({
      name: "dax_region",
      start: options.start,
      end: options.start + options.size - 1,
      flags: IORESOURCE_MEM,
    });
    this.lock = new Mutex(bus.kernel.lockdep, `device lock of dax_region ${options.id}`);
  }

  /** Bytes that no device has. @see dax_region_avail_size() */
  get availableSize(): number {
    return this.resource.children.reduce((left, { size }) => left - size, this.resource.size);
  }

  /** Every attribute fails once the provider is gone. @throws KernelError ENXIO */
  checkEnabled(): void {
    if (!this.enabled) throw new KernelError("ENXIO", `the provider of dax_region ${this.id} is going away`);
  }
}

/**
 * Makes a region under its provider.
 *
 * @throws KernelError ENOMEM for a range off the region's alignment, as providers answer; also when memory is short
 * @throws KernelBug for a provider that has one already
 * @see alloc_dax_region() in drivers/dax/bus.c
 */
export function allocDaxRegion(bus: DaxBus, parent: DaxParent, options: DaxRegionOptions): DaxRegion {
  for (const other of bus.regions) {
    if (other.parent.devpath === parent.devpath)
      throw new KernelBug(`${parent.devpath} provides dax_region ${other.id} already`);
  }
  const { start, size, align } = options;
  if (!isAligned(start, align) || !isAligned(size, align) || size <= 0) {
    throw new KernelError(
      "ENOMEM",
      `${formatRange({ start, end: start + size - 1 })} can't be a dax region: both ends must be multiples of 0x${align.toString(16)}`,
    );
  }
  bus.kernel.faults.point("failslab").alloc("a dax region");
  const region = new DaxRegion(bus, parent, options);
  bus.regions.add(region);
  return region;
}

/** Takes a region away with its devices, the youngest first. Waits for whoever still uses their pages. @see dax_region_unregister() */
export function* unregisterDaxRegion(region: DaxRegion): Sleeps<void> {
  yield* region.lock.lock();
  region.enabled = false;
  try {
    for (let last = region.devices.at(-1); last; last = region.devices.at(-1)) yield* deviceDel(last);
  } finally {
    region.lock.unlock();
  }
  region.bus.regions.delete(region);
}

/** Whether a size can be one of a device: whole subsections, and whole units of its alignment. @see alloc_is_aligned() */
export function isDeviceSize({ align }: DevDax, size: number): boolean {
  return isAligned(size, Math.max(align, MEMREMAP_COMPAT_ALIGN));
}

/** The least that can be mapped by itself on any machine: a subsection. @see memremap_compat_align() */
const MEMREMAP_COMPAT_ALIGN = 2 * 2 ** 20;
