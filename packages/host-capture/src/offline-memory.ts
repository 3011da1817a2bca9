// Memory of a host that was offline. The machine adds it after boot, which makes its lines of /proc/iomem; so they are taken out of
// the firmware map. Kernel counterpart: add_memory() in mm/memory_hotplug.c.
import { isAligned, physAddr } from "@hetmem/kernel";
import type { HiddenMemory, IomemEntry, MemoryRange } from "@hetmem/machine-spec";

export interface OfflineMemory {
  /** Memory that can be added: whole blocks that are not below the line of a device. */
  readonly added: readonly HiddenMemory[];
  /** /proc/iomem without the RAM that is offline. */
  readonly iomem: readonly IomemEntry[];
}

/** @param notices gets a sentence when some of the memory can't be carried over */
export function addOfflineAgain(
  iomem: readonly IomemEntry[],
  offline: readonly HiddenMemory[],
  blockSize: number,
  notices: string[],
): OfflineMemory {
  const added = offline.filter(
    ({ start, end }) =>
      isAligned(start, blockSize) && isAligned(end, blockSize) && !belowDevice(iomem, start),
  );
  if (added.length < offline.length) {
    notices.push(
      "Some of the host's offline memory belongs to a driver or fills no whole block: the machine has none there.",
    );
  }
  return { added, iomem: offline.reduce((rest, range) => cutRam(rest, range), [...iomem]) };
}

/** Whether an address is in the memory of a driver, which the driver alone can add. */
function belowDevice(iomem: readonly IomemEntry[], address: number): boolean {
  const outermost = iomem.find((entry) => entry.start <= address && address <= entry.end);
  return outermost !== undefined && !isRam(outermost);
}

/** The entries without this range of RAM. The parts on either side stay, with the entries in them. */
function cutRam(entries: readonly IomemEntry[], hole: MemoryRange): IomemEntry[] {
  return entries.flatMap((entry) => {
    if (entry.end < hole.start || entry.start >= hole.end) return [entry];
    if (!isRam(entry)) return [{ ...entry, children: cutRam(entry.children, hole) }];
    const sides = [
      { start: entry.start, end: physAddr(Math.min(entry.end, hole.start - 1)) },
      { start: physAddr(Math.max(entry.start, hole.end)), end: entry.end },
    ];
    return sides
      .filter(({ start, end }) => start < end)
      .map(({ start, end }) => ({
        start,
        end,
        name: entry.name,
        children: entry.children.filter((child) => start <= child.start && child.end <= end),
      }));
  });
}

function isRam({ name }: IomemEntry): boolean {
  return name.startsWith("System RAM");
}
