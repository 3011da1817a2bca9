// The driver of dax claims: reserves the metadata, and provides the data area to the dax bus as a region with one
// device. Kernel counterpart: __dax_pmem_probe() in drivers/dax/pmem.c.
import {
  alignDown,
  alignUp,
  condResched,
  KernelError,
  type MediaPoison,
  type PhysAddr,
  physAddr,
  type Sleeps,
} from "@hetmem/kernel";
import { releaseRegion, requestRegion } from "@hetmem/resource";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { DaxRegionMapping } from "../devices/ports.ts";
import type { Region } from "../devices/region.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import { clearPoison, poisonOf } from "./media-io.ts";
import { dataRange, setupPfn } from "./setup-pfn.ts";

/**
 * Probes a dax claim.
 *
 * @throws KernelError as setupPfn(), EBUSY when the range is reserved already, and errors of createDaxRegion()
 */
export function* probeDax(claim: Claim, namespace: Namespace): Sleeps<void> {
  const { block, pagemap } = setupPfn(claim);
  const { region } = claim;
  const { iomem, mappings } = region.bus;
  requestRegion(iomem, namespace.range.start, block.dataOffset, namespace.name);
  const release = (): void => releaseRegion(iomem, namespace.range.start, block.dataOffset);
  let mapping: DaxRegionMapping;
  try {
    mapping = yield* mappings.createDaxRegion({
      parent: claim.path,
      regionId: region.id,
      id: namespace.id,
      range: dataRange(namespace, block),
      align: block.align,
      numaNode: region.numaNode,
      targetNode: region.targetNode,
      pagemap,
      poison: poisonOfRegion(region),
    });
  } catch (error) {
    release();
    throw error;
  }
  claim.dax = { block, mapping };
}

/** Removes the dax region, and waits for users of its pages. */
export function* removeDax(claim: Claim): Sleeps<void> {
  const { dax, namespace, region } = claim;
  if (!dax || !namespace) return;
  yield* dax.mapping.release();
  releaseRegion(region.bus.iomem, namespace.range.start, dax.block.dataOffset);
  claim.dax = undefined;
}

/** The region's bad ranges as the dax bus's port. */
function poisonOfRegion(region: Region): MediaPoison {
  const { bus } = region;
  return {
    badRanges: (start, size) =>
      bus.badrange.within(start, start + size).map((bad): { start: PhysAddr; end: PhysAddr } => ({
        start: physAddr(bad.start),
        end: physAddr(bad.end - 1),
      })),
    *clearPoison(start, size) {
      yield condResched;
      // A machine check reports one cache line. Whole sectors are cleared, since the lists of bad blocks hold whole
      // sectors.
      const first = alignDown(start, SECTOR_SIZE);
      const length = alignUp(start + size, SECTOR_SIZE) - first;
      try {
        return clearPoison(bus, region, first, length) === length;
      } catch (error) {
        if (error instanceof KernelError) return false;
        throw error;
      }
    },
    isReadable: (start, size) => poisonOf(region, start, size).length === 0,
    machineCheck(start, size) {
      for (const bad of poisonOf(region, start, size)) bus.work.machineCheck(bad.start);
    },
  };
}
