// Memory that the firmware sets aside for a purpose ("Soft Reserved"): each range becomes a dynamic dax region with one
// device that has all of it, which the administrator may divide. Kernel counterparts: drivers/dax/hmem/device.c and hmem.c.
import { allocDaxRegion, createDevDax, type DaxBus } from "@hetmem/dax";
import { errnoNumber, KernelError, MiB, physAddr, physToPfn, run } from "@hetmem/kernel";
import { DeviceRam, type FrameStores } from "@hetmem/page";
import { insertResource, IORES_DESC_SOFT_RESERVED, IORESOURCE_MEM, Resource } from "@hetmem/resource";
import type { IomemEntry, MemoryRange } from "@hetmem/machine-spec";

/** Alignment of a range in bytes; no device is made of other ranges. @see PMD_SIZE in dax_hmem_probe() */
const ALIGN = 2 * MiB;

/** A range of the firmware's tables. */
export type NodeOfRange = (range: MemoryRange) => { readonly numaNode: number; readonly targetNode: number };

/**
 * Gives every soft-reserved range of the map to the dax bus; the numbers of regions go on from `firstId`. The contents of
 * such memory stay until the power goes, whichever driver is bound.
 */
export function createHmemRegions(
  bus: DaxBus,
  stores: FrameStores,
  iomem: readonly IomemEntry[],
  nodeOf: NodeOfRange,
  firstId: number,
): void {
  [...softReserved(iomem)].forEach(({ start, end }, index) => {
    const range = { start, end: physAddr(end + 1) };
    stores.add(physToPfn(range.start), physToPfn(range.end), new DeviceRam());
    createHmemRegion(bus, range, nodeOf(range), firstId + index);
  });
}

/** Ranges that the firmware set aside, wherever they stand in the map. */
function* softReserved(iomem: readonly IomemEntry[]): Generator<IomemEntry> {
  for (const entry of iomem) {
    if (entry.name === "Soft Reserved") yield entry;
    else yield* softReserved(entry.children);
  }
}

/** A device that can't be made leaves its memory unused, and the log says so. @see hmem_register_device() */
function createHmemRegion(
  bus: DaxBus,
  { start, end }: MemoryRange,
  { numaNode, targetNode }: ReturnType<NodeOfRange>,
  id: number,
): void {
  const size = end - start;
  const name = `hmem.${id}`;
  // As long as what it is made of: so it comes to hold it.
  insertResource(
    bus.iomem,
    new Resource({ name, start, end: end - 1, flags: IORESOURCE_MEM, desc: IORES_DESC_SOFT_RESERVED }),
  );
  try {
    const region = allocDaxRegion(
      bus,
      { devpath: `devices/platform/${name}`, numaNode },
      { id, start, size, targetNode, align: ALIGN, kind: "dynamic" },
    );
    run(createDevDax(region, { size }));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    bus.kernel.log.printk(4, `hmem: probe of ${name} failed with error ${-errnoNumber(error.errno)}`);
  }
}
