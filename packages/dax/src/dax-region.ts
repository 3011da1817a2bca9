// A dax region: a range of memory registered by a provider and divided among devices. A static region is one device
// with bounds set by the provider, such as a persistent-memory namespace. A dynamic region is partitioned by the
// administrator. Kernel counterpart: struct dax_region in drivers/dax/dax-private.h.
import {
  isAligned,
  KernelBug,
  KernelError,
  type MediaPoison,
  Mutex,
  type PhysAddr,
  type Sleeps,
} from "@hetmem/kernel";
import { IORESOURCE_MEM, Resource } from "@hetmem/resource";
import type { DaxBus } from "./dax-bus.ts";
import { deviceDel } from "./create-dev-dax.ts";
import { type DevDax, formatRange } from "./dev-dax.ts";
import { Ida } from "./ida.ts";

/** Port: the device that provides a region, such as a namespace or a platform device. */
export interface DaxParent {
  /** Path below /sys: `devices/platform/hmem.0`. */
  readonly devpath: string;
  /** NUMA node of the device; -1 for none. */
  readonly numaNode: number;
  /** Bad blocks of the media, if the provider tracks them. */
  readonly poison?: MediaPoison;
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
  /** The region's range; its children are the ranges of devices. */
  readonly resource: Resource;
  readonly ids: Ida = new Ida();
  /** Devices in order of creation. */
  readonly devices: DevDax[] = [];
  /** A created device that was never bound: the one to configure next. */
  seed: DevDax | undefined = undefined;
  /** The device created last. */
  youngest: DevDax | undefined = undefined;
  /** The device lock of the parent, held while the region is divided. Taken before a device's own lock. */
  readonly lock: Mutex;
  /** False once the provider is going away. */
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

  /** Bytes allocated to no device. @see dax_region_avail_size() */
  get availableSize(): number {
    return this.resource.children.reduce((left, { size }) => left - size, this.resource.size);
  }

  /** Every attribute fails once the provider is gone. @throws KernelError ENXIO */
  checkEnabled(): void {
    if (!this.enabled) throw new KernelError("ENXIO", `the provider of dax_region ${this.id} is going away`);
  }
}

/**
 * Registers a region under its provider.
 *
 * @throws KernelError ENOMEM for a range that isn't a multiple of the alignment, the errno that providers return, and
 * when an allocation fails
 * @throws KernelBug when the provider has a region already
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

/**
 * Unregisters a region and its devices, youngest first. Waits for users of their pages.
 *
 * @see dax_region_unregister()
 */
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

/**
 * Whether a size is valid for a device: a multiple of the subsection size and of the device's alignment.
 *
 * @see alloc_is_aligned()
 */
export function isDeviceSize({ align }: DevDax, size: number): boolean {
  return isAligned(size, Math.max(align, MEMREMAP_COMPAT_ALIGN));
}

/** Smallest mappable unit on any machine, in bytes: a subsection. @see memremap_compat_align() */
const MEMREMAP_COMPAT_ALIGN = 2 * 2 ** 20;
