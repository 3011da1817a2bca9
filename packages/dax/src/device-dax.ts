// device_dax: the driver through which processes map a device. Its probe reserves the ranges, creates struct pages in
// ZONE_DEVICE, and makes the device alive. Its remove undoes this and waits until no page has users. The driver
// matches every device that no other driver claims. Kernel counterpart: dev_dax_probe() in drivers/dax/device.c.
import { KernelBug, KernelError, type NodeId, nodeId, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { DevPagemap, MemoryType, type Pagemaps } from "@hetmem/memremap";
import type { Vm } from "@hetmem/mm";
import { releaseRegion, requestRegion } from "@hetmem/resource";
import { checkAlive, DaxFile } from "./dax-file.ts";
import { getInode, killDax } from "./dax-inode.ts";
import { daxMemoryFailure } from "./dax-memory-failure.ts";
import type { DaxDriver } from "./dax-driver.ts";
import { type DevDax, formatRange, rangeSize } from "./dev-dax.ts";

export interface DeviceDaxOptions {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
}

export class DeviceDax implements DaxDriver {
  readonly name = "device_dax";
  readonly matchAlways = true;
  readonly #vm: Vm;
  readonly #pagemaps: Pagemaps;
  readonly #mapped = new Map<DevDax, DevPagemap>();

  constructor({ vm, pagemaps }: DeviceDaxOptions) {
    this.#vm = vm;
    this.#pagemaps = pagemaps;
  }

  /**
   * @throws KernelError EBUSY when part of a range is reserved already, EINVAL for a static device with several
   * ranges, ENOMEM, and errors of memremapPages()
   * @see dev_dax_probe()
   */
  *probe(device: DevDax): Sleeps<void> {
    checkRanges(device);
    reserveRanges(device);
    try {
      device.kernel.faults.point("failslab").alloc(`the pagemap of ${device.name}`);
      getInode(device, this.#vm);
      const pagemap = this.#describe(device);
      yield* this.#pagemaps.memremapPages(pagemap, homeNode(device));
      this.#mapped.set(device, pagemap);
    } catch (error) {
      releaseRanges(device, device.ranges.length);
      throw error;
    }
    device.alive = true;
  }

  /** Zaps all mappings, then waits until no page has users. */
  *remove(device: DevDax): Sleeps<void> {
    yield* killDax(device);
    const pagemap = this.#mapped.get(device);
    if (!pagemap) throw new KernelBug(`device_dax lets go of ${device.name}, which it doesn't have`);
    yield* this.#pagemaps.memunmapPages(pagemap);
    this.#mapped.delete(device);
    releaseRanges(device, device.ranges.length);
  }

  /**
   * Opens /dev/daxN.M.
   *
   * @throws KernelError ENXIO when this driver isn't bound to the device @see dax_open()
   */
  open(device: DevDax, writable: boolean): DaxFile {
    checkAlive(device);
    return new DaxFile(device, getInode(device, this.#vm), writable);
  }

  /**
   * Describes a device's memory. The pagemap of a static device starts before its range, with metadata and struct
   * pages.
   */
  #describe(device: DevDax): DevPagemap {
    const { align, name, pagemap, ranges } = device;
    return new DevPagemap({
      type: MemoryType.DeviceGeneric,
      name,
      ranges: (pagemap ? [pagemap] : ranges).map((range) => ({ start: range.start, size: rangeSize(range) })),
      ops: {
        memoryFailure: (_pagemap, frame, pages, current) => {
          const accessing = [...this.#vm.processes].find((process) => process === current);
          return daxMemoryFailure(this.#vm, device, { frame, pages, ...(accessing && { accessing }) });
        },
      },
      vmemmapShift: Math.log2(align / PAGE_SIZE),
      ...(pagemap?.altmap && { altmap: pagemap.altmap }),
    });
  }
}

function checkRanges(device: DevDax): void {
  if (device.region.kind === "dynamic" || device.ranges.length === 1) return;
  device.printk(4, "static pgmap / multi-range device conflict");
  throw new KernelError("EINVAL", `${device.name} is static and has ${device.ranges.length} ranges`);
}

/**
 * Reserves all ranges of a device in the iomem tree. Providers leave this to the driver, since some drivers reserve
 * less.
 *
 * @see 89ec9f2cfa36 ("device-dax: Move resource pinning+mapping into the common driver")
 */
function reserveRanges(device: DevDax): void {
  const { bus, name, ranges } = device;
  ranges.forEach((range, i) => {
    try {
      requestRegion(bus.iomem, range.start, rangeSize(range), name);
    } catch (error) {
      releaseRanges(device, i);
      if (error instanceof KernelError)
        device.printk(4, `mapping${i}: ${formatRange(range)} could not reserve range`);
      throw error;
    }
  });
}

/** Releases the first `count` ranges in reverse order. */
function releaseRanges({ bus, ranges }: DevDax, count: number): void {
  for (const range of ranges.slice(0, count).toReversed())
    releaseRegion(bus.iomem, range.start, rangeSize(range));
}

/** The NUMA node of the device, as opposed to the target node of its memory. */
function homeNode({ region }: DevDax): NodeId | undefined {
  const { numaNode } = region.parent;
  return numaNode < 0 ? undefined : nodeId(numaNode);
}
