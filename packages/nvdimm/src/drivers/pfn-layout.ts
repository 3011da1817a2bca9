// Policy: the layout of struct pages and data in a new pfn or dax device, and the bytes lost to alignment at its
// ends. The info block records the layout, so that other releases can read it. Kernel counterpart: nd_pfn_init() and
// trim_pfn_device() in drivers/nvdimm/pfn_devs.c.
import { alignDown, alignUp, isAligned, KernelError, MiB, PAGE_SIZE } from "@hetmem/kernel";
import { SECTION_SIZE } from "@hetmem/page";
import { IORESOURCE_SYSTEM_RAM, REGION_MIXED, regionIntersects } from "@hetmem/resource";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import { STRUCT_PAGE_SIZE } from "./info-block.ts";
import { INFO_BLOCK_RESERVE } from "./namespace-io.ts";

/** Smallest mappable unit in bytes. @see memremap_compat_align() */
export const COMPAT_ALIGN = 2 * MiB;
/** Alignment in bytes of struct pages, which are mapped by 2 MiB entries. */
const PMD_SIZE = 2 * MiB;

export interface PfnLayout {
  /** Unused bytes at the start. */
  readonly startPad: number;
  /** Bytes truncated at the end for alignment. */
  readonly endTrunc: number;
  /** Bytes from the end of the padding to the data area. */
  readonly dataOffset: number;
}

export interface PfnLayoutPolicy {
  /** Alignment of the altmap's base in bytes. @see init_altmap_base() */
  readonly altmapUnit: number;
  /**
   * Lays out a claimed namespace whose mode is ram or pmem.
   *
   * @returns the layout; the caller checks that it leaves room for data
   * @throws KernelError EINVAL when the start of the namespace is misaligned
   */
  layOut(claim: Claim, namespace: Namespace): PfnLayout;
}

/**
 * Since 5.3: a namespace is mapped exactly, in subsections of 2 MiB, and must start at a multiple of 2 MiB.
 *
 * @see a3619190d62e
 */
export const alignedLayout: PfnLayoutPolicy = {
  altmapUnit: 2 * MiB,
  layOut(claim, namespace) {
    const { start, end } = namespace.range;
    if (!isAligned(start, COMPAT_ALIGN)) throw misaligned(claim, namespace);
    const align = Math.max(claim.align, COMPAT_ALIGN);
    const pages = (namespace.size - INFO_BLOCK_RESERVE) / PAGE_SIZE;
    const memmap = claim.mode === "pmem" ? STRUCT_PAGE_SIZE * pages : 0;
    return {
      startPad: 0,
      endTrunc: end - alignDown(end, align),
      dataOffset: alignUp(start + INFO_BLOCK_RESERVE + memmap, align) - start,
    };
  },
};

/**
 * Up to 5.2: whole sections are mapped. A section at either end that is shared with RAM or another region is left
 * out, and room is reserved for the struct pages of whole sections.
 *
 * @see ae86cbfef381: sections of other regions are avoided too
 */
export const sectionLayout: PfnLayoutPolicy = {
  altmapUnit: SECTION_SIZE,
  layOut(claim, namespace) {
    const { range, size } = namespace;
    const startPad = padOf(namespace);
    const endTrunc = truncationOf(claim, namespace);
    if (startPad + endTrunc > 0)
      claim.log(6, `${namespace.name} alignment collision, truncate ${startPad + endTrunc} bytes`);
    const start = range.start + startPad;
    const bytes = alignUp(size - startPad - endTrunc - INFO_BLOCK_RESERVE, SECTION_SIZE);
    const dataStart =
      claim.mode === "pmem"
        ? alignUp(
            start + INFO_BLOCK_RESERVE + STRUCT_PAGE_SIZE * (bytes / PAGE_SIZE),
            Math.max(claim.align, PMD_SIZE),
          )
        : alignUp(start + INFO_BLOCK_RESERVE, claim.align);
    return { startPad, endTrunc, dataOffset: dataStart - start };
  },
};

function padOf(namespace: Namespace): number {
  const { start, end } = namespace.range;
  const section = alignDown(start, SECTION_SIZE);
  return isShared(namespace, section, end) ? alignUp(start, SECTION_SIZE) - start : 0;
}

function truncationOf({ align }: Claim, namespace: Namespace): number {
  const { start, end } = namespace.range;
  if (isAligned(end, align) && !isShared(namespace, start, alignUp(end, SECTION_SIZE))) return 0;
  return end - Math.min(alignDown(end, SECTION_SIZE), alignDown(end, align));
}

/** Whether RAM or another region overlaps a range of whole sections. @see nd_region_conflict() */
function isShared({ region }: Namespace, start: number, end: number): boolean {
  const { iomem, regions } = region.bus;
  if (regionIntersects(iomem, start, end - start, IORESOURCE_SYSTEM_RAM) === REGION_MIXED) return true;
  return regions.some((other) => other !== region && other.start < end && other.end > start);
}

function misaligned(claim: Claim, namespace: Namespace): KernelError {
  const start = `0x${namespace.range.start.toString(16)}`;
  claim.log(3, `${namespace.name}: start ${start} misaligned to 0x${COMPAT_ALIGN.toString(16)}`);
  return new KernelError("EINVAL", `${namespace.name} begins at ${start}, not at a multiple of 2 MiB`);
}
