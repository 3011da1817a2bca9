// Memory that the firmware sets aside for a purpose ("Soft Reserved"): each range becomes a dynamic dax region with one
// device that has all of it, which the administrator may divide. Kernel counterparts: drivers/dax/hmem/device.c and hmem.c.
import { allocDaxRegion, createDevDax, type DaxBus } from "@hetmem/dax";
import { alignDown, alignUp, KernelError, MiB, physAddr, run } from "@hetmem/kernel";
import type { IomemEntry, MemoryRange } from "../../spec/machine-spec.ts";

/** What the driver asks for where nobody chose. @see PMD_SIZE in dax_hmem_probe() */
const ALIGN = 2 * MiB;

/** What the firmware's tables say of a range. */
export type NodeOfRange = (range: MemoryRange) => { readonly numaNode: number; readonly targetNode: number };

/** Gives every soft-reserved range of the map to the dax bus; the numbers of regions go on from `firstId`. */
export function createHmemRegions(
  bus: DaxBus,
  iomem: readonly IomemEntry[],
  nodeOf: NodeOfRange,
  firstId: number,
): void {
  iomem
    .filter(({ name }) => name === "Soft Reserved")
    .forEach((entry, index) => {
      const start = physAddr(alignUp(entry.start, ALIGN));
      const end = physAddr(alignDown(entry.end + 1, ALIGN));
      if (start >= end) return;
      createHmemRegion(bus, { start, end }, nodeOf({ start, end }), { index, id: firstId + index });
    });
}

/** A device that can't be made leaves its memory unused, and the log says so. @see hmem_register_device() */
function createHmemRegion(
  bus: DaxBus,
  { start, end }: MemoryRange,
  { numaNode, targetNode }: ReturnType<NodeOfRange>,
  { index, id }: { readonly index: number; readonly id: number },
): void {
  const size = end - start;
  try {
    const region = allocDaxRegion(
      bus,
      { devpath: `devices/platform/hmem.${index}`, numaNode },
      { id, start, size, targetNode, align: ALIGN, kind: "dynamic" },
    );
    run(createDevDax(region, { size }));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    bus.kernel.log.printk(3, `hmem hmem.${index}: ${error.message}`);
  }
}
