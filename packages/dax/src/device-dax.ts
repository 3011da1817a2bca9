// device_dax: the driver that lets processes map a device as it is. It reserves the ranges, gives them struct pages in
// ZONE_DEVICE, and opens the door; the reverse waits until nobody holds a page any more. It takes every device that no
// other driver was given. Kernel counterpart: dev_dax_probe() in drivers/dax/device.c.
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
   * @throws KernelError EBUSY when somebody uses a part of its ranges, EINVAL for a static device of several ranges, ENOMEM,
   *   and what memremapPages() throws
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

  /** What processes have mapped goes from their page tables at once; who holds pages is waited for. */
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
   * @throws KernelError ENXIO when this driver doesn't run it @see dax_open()
   */
  open(device: DevDax, writable: boolean): DaxFile {
    checkAlive(device);
    return new DaxFile(device, getInode(device, this.#vm), writable);
  }

  /** @see devm_memremap_pages() for a static region's, whose metadata and struct pages lie before the device's range */
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
 * Reserves all ranges of a device in the iomem tree: providers leave it to whoever drives the device, since another
 * driver may want less of them.
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

/** Gives back the first ranges, the last of them first. */
function releaseRanges({ bus, ranges }: DevDax, count: number): void {
  for (const range of ranges.slice(0, count).toReversed())
    releaseRegion(bus.iomem, range.start, rangeSize(range));
}

/** The node that the device is near: not the one that its memory would be. */
function homeNode({ region }: DevDax): NodeId | undefined {
  const { numaNode } = region.parent;
  return numaNode < 0 ? undefined : nodeId(numaNode);
}
