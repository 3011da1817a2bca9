// Device memory in ZONE_DEVICE of each node of a host. /proc/zoneinfo shows how many frames the zone spans, and not which: the span
// is taken for the adjacent resources that are as long. Kernel counterpart: the zone_device branch of
// move_pfn_range_to_zone() in mm/memory_hotplug.c.
import { PAGE_SIZE, physAddr } from "@hetmem/kernel";
import type { DeviceSpan, IomemEntry, NvdimmRange } from "@hetmem/machine-spec";
import type { Host } from "./host.ts";

/**
 * @param nvdimm persistent memory, which the machine's own drivers map
 * @param notices gets a sentence for each node whose device memory isn't found
 */
export function deviceSpans(
  { iomem, zoneinfo }: Host,
  nvdimm: readonly Pick<NvdimmRange, "start" | "end" | "numaNode">[],
  notices: string[],
): DeviceSpan[] {
  const spans: DeviceSpan[] = [];
  for (const { node, name, spanned } of zoneinfo.zones) {
    if (name !== "Device" || spanned === 0) continue;
    const own = nvdimm.filter(({ numaNode }) => numaNode === node);
    const reach = Math.max(0, ...own.map(({ end }) => end)) - Math.min(...own.map(({ start }) => start));
    if (own.length > 0 && spanned * PAGE_SIZE <= reach) continue;
    const run = findRun(iomem, spanned * PAGE_SIZE, spans);
    if (run) spans.push({ node, start: run.start, end: physAddr(run.end + 1) });
    else
      notices.push(
        `Node ${node} has device memory, and /proc/iomem does not show where: the machine has none there.`,
      );
  }
  return spans;
}

/** The highest run of adjacent siblings with so many bytes that isn't taken by another node. */
function findRun(
  entries: readonly IomemEntry[],
  bytes: number,
  taken: readonly DeviceSpan[],
): Pick<IomemEntry, "start" | "end"> | undefined {
  for (let first = entries.length - 1; first >= 0; first--) {
    for (let last = first; last < entries.length && adjacent(entries, first, last); last++) {
      const start = entries[first]?.start ?? physAddr(0);
      const end = entries[last]?.end ?? start;
      if (end - start + 1 > bytes) break;
      if (end - start + 1 === bytes && !taken.some((span) => span.start === start)) return { start, end };
    }
    const inside = findRun(entries[first]?.children ?? [], bytes, taken);
    if (inside) return inside;
  }
  return undefined;
}

/** Whether the last of entries first..last is not RAM, and touches the one before it. */
function adjacent(entries: readonly IomemEntry[], first: number, last: number): boolean {
  const entry = entries[last];
  const before = entries[last - 1];
  if (!entry || entry.name === "System RAM" || entry.name === "Reserved") return false;
  return last === first || before?.end === entry.start - 1;
}
