// dax_pmem: provides a persistent-memory namespace in devdax mode as a static region with one device. Kernel
// counterpart: __dax_pmem_probe() in drivers/dax/pmem.c; dax_pmem_compat_probe() in drivers/dax/pmem/compat.c of 5.1.
import { type MediaPoison, physAddr, type Sleeps } from "@hetmem/kernel";
import { reallyProbe } from "./binding.ts";
import { createDevDax } from "./create-dev-dax.ts";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxDriver } from "./dax-driver.ts";
import { allocDaxRegion, type DaxRegion, unregisterDaxRegion } from "./dax-region.ts";
import type { DaxAltmap, DevDax } from "./dev-dax.ts";

/** Addresses from `start` up to, not including, `end`. */
interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The description of a devdax namespace. */
export interface DaxPmemRequest {
  /** Path of the namespace's device below /sys: `/devices/…/region0/dax0.0`. */
  readonly parent: string;
  /** The N of daxN.M: the number of the nvdimm region. */
  readonly regionId: number;
  /** The M. */
  readonly id: number;
  /** The data area. */
  readonly range: ByteRange;
  /** Bytes. */
  readonly align: number;
  readonly numaNode: number;
  readonly targetNode: number;
  /** The range that gets struct pages; includes the namespace's metadata when struct pages are stored there. */
  readonly pagemap: { readonly range: ByteRange; readonly altmap: DaxAltmap | undefined };
  readonly poison?: MediaPoison;
}

/** The region and device of a namespace. release() unregisters both and waits for users of the pages. */
export interface DaxPmem {
  readonly region: DaxRegion;
  readonly device: DevDax;
  release(): Sleeps<void>;
}

/**
 * Creates region and device of a namespace.
 *
 * @throws KernelError as allocDaxRegion() and createDevDax(); nothing has changed then
 * @see __dax_pmem_probe()
 */
export function* daxPmemProbe(bus: DaxBus, request: DaxPmemRequest): Sleeps<DaxPmem> {
  return yield* probe(bus, request, "bus");
}

/**
 * daxPmemProbe() for user space that looks for devices in /sys/class/dax, as before 5.1. Such a device is on no bus,
 * and only `driver` can bind it.
 *
 * @see dax_pmem_compat_probe()
 * @see 730926c3b099 ("device-dax: Add /sys/class/dax backwards compatibility")
 */
export function* daxPmemCompatProbe(
  bus: DaxBus,
  driver: DaxDriver,
  request: DaxPmemRequest,
): Sleeps<DaxPmem> {
  const made = yield* probe(bus, request, "class");
  const { lock } = made.device;
  try {
    yield* lock.lock();
    try {
      yield* reallyProbe(made.device, driver);
    } finally {
      lock.unlock();
    }
  } catch (error) {
    yield* made.release();
    throw error;
  }
  return made;
}

function* probe(bus: DaxBus, request: DaxPmemRequest, subsystem: DevDax["subsystem"]): Sleeps<DaxPmem> {
  const { parent, regionId, id, range, align, numaNode, targetNode, pagemap, poison } = request;
  const region = allocDaxRegion(
    bus,
    { devpath: parent.replace(/^\//, ""), numaNode, ...(poison && { poison }) },
    {
      id: regionId,
      start: physAddr(range.start),
      size: range.end - range.start,
      targetNode,
      align,
      kind: "static",
    },
  );
  const { start, end } = pagemap.range;
  const { altmap } = pagemap;
  const release = (): Sleeps<void> => unregisterDaxRegion(region);
  try {
    const device = yield* createDevDax(region, {
      id,
      size: range.end - range.start,
      subsystem,
      pagemap: { start: physAddr(start), end: physAddr(end - 1), ...(altmap && { altmap }) },
    });
    return { region, device, release };
  } catch (error) {
    yield* release();
    throw error;
  }
}
