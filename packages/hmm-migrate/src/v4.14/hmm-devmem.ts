// Device memory in the interface of 4.14. HMM allocates free physical addresses at the top of the physical space,
// creates struct pages for them, and calls the driver when a cpu faults on a page or a page becomes idle. Kernel
// counterpart: hmm_devmem_add(), hmm_devmem_add_resource() and hmm_devmem_remove() in mm/hmm.c of 4.14.
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
  /** A page became idle and returns to the driver. */
  free(devmem: HmmDevmem, page: Page): void;
  /**
   * The cpu faulted on a private page. The driver calls migrateVma() with the fault's mapping, and `page` as the
   * faultPage.
   *
   * @returns 0, or VmFault.SIGBUS when the page can't be migrated to RAM
   */
  fault(devmem: HmmDevmem, fault: FaultContext, page: Page): Sleeps<VmFault>;
}

/** The device that has the memory. @see struct device */
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

  /** First frame, and first frame after the last. */
  get pfnFirst(): Pfn {
    return physToPfn(physAddr(this.resource.start));
  }

  get pfnLast(): Pfn {
    return pfn((this.resource.end + 1) / PAGE_SIZE);
  }

  /** Hands out an idle page, with one user and locked. @throws KernelBug as zoneDevicePageInit() */
  take(page: Page): Page {
    zoneDevicePageInit(this.pagemaps, page);
    return page;
  }
}

/**
 * Adds device private memory. The frames are the highest free ones, which no bus decodes; /proc/iomem lists them
 * under the device's name.
 *
 * @param size bytes, rounded up to whole sections
 * @throws KernelError ERANGE when no addresses are free, and as memremapPages(). Nothing has changed then
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
 * Adds device public memory at the addresses of the device. The caller keeps its resource.
 *
 * @throws KernelError EINVAL for a resource that isn't in the tree, or in a release without public memory
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

/**
 * Waits until no page has users, unmaps the memory, and releases the addresses that hmmDevmemAdd() allocated.
 *
 * @see hmm_devmem_remove()
 */
export function* hmmDevmemRemove(pagemaps: Pagemaps, devmem: HmmDevmem): Sleeps<void> {
  yield* pagemaps.memunmapPages(devmem.pagemap);
  if (devmem.pagemap.type === MemoryType.DevicePrivate) releaseResource(devmem.resource);
}
