// The driver of dax claims: it reserves the metadata, and gives the rest to the dax bus as a region with one device. Kernel counterpart:
// __dax_pmem_probe() in drivers/dax/pmem.c.
import { condResched, KernelError, type PhysAddr, physAddr, type Sleeps } from "@hetmem/kernel";
import { releaseRegion, requestRegion } from "@hetmem/resource";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { DaxPoison, NvdimmMapping } from "../devices/ports.ts";
import type { Region } from "../devices/region.ts";
import { clearPoison } from "./media-io.ts";
import { dataRange, setupPfn } from "./setup-pfn.ts";

/** @throws KernelError as setupPfn() does, EBUSY when somebody has the range, and what the dax bus throws */
export function* probeDax(claim: Claim, namespace: Namespace): Sleeps<void> {
  const { block, pagemap } = setupPfn(claim);
  const { region } = claim;
  const { iomem, mappings } = region.bus;
  requestRegion(iomem, namespace.range.start, block.dataOffset, namespace.name);
  const release = (): void => releaseRegion(iomem, namespace.range.start, block.dataOffset);
  let mapping: NvdimmMapping;
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

/** Takes the device away, and waits for whoever still uses its pages. */
export function* removeDax(claim: Claim): Sleeps<void> {
  const { dax, namespace, region } = claim;
  if (!dax || !namespace) return;
  yield* dax.mapping.release();
  releaseRegion(region.bus.iomem, namespace.range.start, dax.block.dataOffset);
  claim.dax = undefined;
}

/** What is known of errors, for who makes RAM of the device. */
function poisonOfRegion(region: Region): DaxPoison {
  const { bus } = region;
  return {
    badRanges: (start, size) =>
      bus.badrange.within(start, start + size).map((bad): { start: PhysAddr; end: PhysAddr } => ({
        start: physAddr(bad.start),
        end: physAddr(bad.end - 1),
      })),
    *clearPoison(start, size) {
      yield condResched;
      try {
        return clearPoison(bus, region, start, size) === size;
      } catch (error) {
        if (error instanceof KernelError) return false;
        throw error;
      }
    },
  };
}
