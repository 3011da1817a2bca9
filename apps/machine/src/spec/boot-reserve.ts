// What a kernel keeps of its memory before it hands the rest to the allocator, for machines that no host was measured for:
// the first MiB, its own image, and a struct page for every page.
import { GiB, MiB, PAGE_SIZE } from "@hetmem/kernel";
import type { BootUsage, KernelOptions, MemoryRange, NodeSpec } from "./machine-spec.ts";

/** Bytes of Linux' struct page on 64-bit machines. */
const STRUCT_PAGE_BYTES = 64;
const KERNEL_IMAGE_PAGES = (32 * MiB) / PAGE_SIZE;
const LOW_END = MiB;

const BOOT_ZONES: readonly {
  readonly zone: BootUsage["zone"];
  readonly start: number;
  readonly end: number;
}[] = [
  { zone: "DMA", start: 0, end: 16 * MiB },
  { zone: "DMA32", start: 16 * MiB, end: 4 * GiB },
  { zone: "Normal", start: 4 * GiB, end: Number.POSITIVE_INFINITY },
];

/**
 * The pages that memblock keeps of each zone. The kernel allocates the memmap of a node in that node; it is charged to
 * the node's zones by their size here, save to DMA, which it avoids.
 *
 * @returns nothing when part of the memory is to be ZONE_MOVABLE: where that begins is for the boot to find out
 */
export function bootUsageOf(nodes: readonly NodeSpec[], options: KernelOptions): BootUsage[] {
  if (options.kernelcore !== undefined || options.movablecore !== undefined || options.movable_node)
    return [];
  const usage: BootUsage[] = [];
  for (const { id, memory } of nodes) {
    for (const { zone, start, end } of BOOT_ZONES) {
      const pages = pagesWithin(memory, start, end);
      if (pages === 0) continue;
      const memmap = zone === "DMA" ? 0 : Math.ceil((pages * STRUCT_PAGE_BYTES) / PAGE_SIZE);
      const image =
        zone === "DMA32" && memory.some((range) => range.start <= start && range.end > start)
          ? KERNEL_IMAGE_PAGES
          : 0;
      const low = pagesWithin(memory, 0, Math.min(LOW_END, end)) * (zone === "DMA" ? 1 : 0);
      usage.push({
        node: id,
        zone,
        reservedPages: Math.min(pages, memmap + image + low),
        unmovablePages: 0,
        movablePages: 0,
      });
    }
  }
  return usage;
}

function pagesWithin(memory: readonly MemoryRange[], start: number, end: number): number {
  return (
    memory.reduce(
      (pages, range) => pages + Math.max(0, Math.min(range.end, end) - Math.max(range.start, start)),
      0,
    ) / PAGE_SIZE
  );
}
