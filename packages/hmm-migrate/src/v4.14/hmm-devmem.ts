// Device memory as 4.14 gave it to drivers: HMM finds addresses that no memory answers at, at the top of the physical
// space, makes struct pages for them, and calls the driver when one is touched by a cpu or comes free. Kernel counterpart:
// hmm_devmem_add(), hmm_devmem_add_resource() and hmm_devmem_remove() in mm/hmm.c of 4.14.
import {
  KernelError,
  type NodeId,
  type Page,
  PAGE_SIZE,
  type Pfn,
  pfn,
  physAddr,
  physToPfn,
  type Sleeps,
} from "@hetmem/kernel";
import { DevPagemap, MemoryType, type Pagemaps, zoneDevicePageInit } from "@hetmem/memremap";
import type { FaultContext, VmFault } from "@hetmem/mm";
import { releaseResource, requestFreeMemRegion, type Resource } from "@hetmem/resource";

/** @see struct hmm_devmem_ops */
export interface HmmDevmemOps {
  /** A page came free: it is the driver's again. */
  free(devmem: HmmDevmem, page: Page): void;
  /**
   * The cpu touched a page that it can't reach. The driver calls migrateVma() with the fault's mapping and `page` as the
   * faultPage.
   *
   * @returns 0, or SIGBUS when it can't bring the page back
   */
  fault(devmem: HmmDevmem, fault: FaultContext, page: Page): Sleeps<VmFault>;
}

/** Whose memory it is. @see struct device */
export interface HmmDevice {
  readonly name: string;
  readonly node: NodeId | undefined;
}

/** @see struct hmm_devmem */
export class HmmDevmem {
  readonly device: HmmDevice;
  readonly ops: HmmDevmemOps;
  readonly resource: Resource;
  readonly pagemap: DevPagemap;
  private readonly pagemaps: Pagemaps;

  constructor(
    pagemaps: Pagemaps,
    ops: HmmDevmemOps,
    device: HmmDevice,
    resource: Resource,
    type: MemoryType,
  ) {
    this.pagemaps = pagemaps;
    this.device = device;
    this.ops = ops;
    this.resource = resource;
    this.pagemap = new DevPagemap({
      type,
      name: device.name,
      ranges: [{ start: resource.start, size: resource.end - resource.start + 1 }],
      owner: this,
      ops: {
        pageFree: (page) => ops.free(this, page),
        migrateToRam: (fault, page) => ops.fault(this, fault as FaultContext, page),
      },
    });
  }

  /** First frame, and the first behind the last. */
  get pfnFirst(): Pfn {
    return physToPfn(physAddr(this.resource.start));
  }

  get pfnLast(): Pfn {
    return pfn((this.resource.end + 1) / PAGE_SIZE);
  }

  /** Hands out an idle page of it: it has one reference, and is locked. */
  take(page: Page): Page {
    zoneDevicePageInit(this.pagemaps, page);
    return page;
  }
}

/**
 * Memory that only its device reaches. Its frames are the highest that are free, since no bus will ever answer for them:
 * /proc/iomem shows them under the device's name.
 *
 * @param size bytes, rounded up to whole sections
 * @throws KernelError ERANGE when no addresses are free, and as memremapPages(): nothing is left behind
 * @see hmm_devmem_add() in mm/hmm.c of 4.14
 */
export function* hmmDevmemAdd(
  pagemaps: Pagemaps,
  ops: HmmDevmemOps,
  device: HmmDevice,
  size: number,
): Sleeps<HmmDevmem> {
  const { iomem } = pagemaps.hotplug;
  const resource = requestFreeMemRegion(iomem, size, device.name);
  const devmem = new HmmDevmem(pagemaps, ops, device, resource, MemoryType.DevicePrivate);
  try {
    yield* pagemaps.memremapPages(devmem.pagemap, device.node);
  } catch (error) {
    releaseResource(resource);
    throw error;
  }
  return devmem;
}

/**
 * Memory of a device that the cpu reaches, at addresses that the device has: its resource stays the caller's.
 *
 * @throws KernelError EINVAL for a resource that isn't in the tree, or a kernel without public memory
 * @see hmm_devmem_add_resource(), df6ad69838fc
 */
export function* hmmDevmemAddResource(
  pagemaps: Pagemaps,
  ops: HmmDevmemOps,
  device: HmmDevice,
  resource: Resource,
): Sleeps<HmmDevmem> {
  if (resource.parent === undefined)
    throw new KernelError("EINVAL", `${device.name}: ${resource.name} is in no tree: request it first`);
  const devmem = new HmmDevmem(pagemaps, ops, device, resource, MemoryType.DevicePublic);
  yield* pagemaps.memremapPages(devmem.pagemap, device.node);
  return devmem;
}

/** Waits until nobody holds a page of it, and gives its addresses back if they were found for it. @see hmm_devmem_remove() */
export function* hmmDevmemRemove(pagemaps: Pagemaps, devmem: HmmDevmem): Sleeps<void> {
  yield* pagemaps.memunmapPages(devmem.pagemap);
  if (devmem.pagemap.type === MemoryType.DevicePrivate) releaseResource(devmem.resource);
}
