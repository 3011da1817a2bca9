// Memory that the kernel keeps at boot and never gives to the page allocator, for machines that weren't captured from a host: the
// first MiB, the kernel's image, and struct pages. Kernel counterparts: reserve_real_mode() in arch/x86/realmode/init.c,
// memblock_reserve() of the kernel's image in arch/x86/kernel/setup.c, sparse_init() in mm/sparse.c.
import { MiB, PAGE_SIZE } from "@hetmem/kernel";
import { bootStructPages, bootZoneSizes } from "@hetmem/zone";
import type { BootUsage, KernelOptions, NodeSpec } from "./machine-spec.ts";

const KERNEL_IMAGE_PAGES = (32 * MiB) / PAGE_SIZE;
const DMA_END = (16 * MiB) / PAGE_SIZE;
const LOW_END = MiB / PAGE_SIZE;

/**
 * The pages that memblock keeps of each zone.
 *
 * @throws KernelError ENOMEM when struct pages find no room in memory that the kernel may use
 */
export function bootUsageOf(nodes: readonly NodeSpec[], options: KernelOptions): BootUsage[] {
  const structPages = bootStructPages(nodes, options);
  return bootZoneSizes(nodes, options).map(({ node, zone, start, presentPages }) => {
    const paid = structPages
      .filter((charge) => charge.node === node && charge.zone === zone)
      .reduce((sum, { frames }) => sum + frames, 0);
    const image = zone === "DMA32" && start === DMA_END ? KERNEL_IMAGE_PAGES : 0;
    const low = zone === "DMA" ? lowPages(nodes, node) : 0;
    return {
      node,
      zone: zone as BootUsage["zone"],
      reservedPages: Math.min(presentPages, paid + image + low),
      unmovablePages: 0,
      movablePages: 0,
    };
  });
}

/** Pages of a node below 1 MiB, which the kernel reserves because BIOSes write there. */
function lowPages(nodes: readonly NodeSpec[], node: NodeSpec["id"]): number {
  const memory = nodes.find(({ id }) => id === node)?.memory ?? [];
  return memory.reduce(
    (pages, { start, end }) => pages + Math.max(0, Math.min(end / PAGE_SIZE, LOW_END) - start / PAGE_SIZE),
    0,
  );
}
