// The info block and mapping of a configured pfn or dax device: validates an existing info block, or computes the
// layout and writes a new one. Kernel counterpart: nd_pfn_validate(), nd_pfn_init() and nvdimm_setup_pfn() in
// drivers/nvdimm/pfn_devs.c.
import { alignDown, alignUp, isAligned, KernelError, PAGE_SIZE } from "@hetmem/kernel";
import { type Claim, PFN_ALIGNMENTS, type PfnMode } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { PagemapRequest } from "../devices/ports.ts";
import { NULL_UUID } from "../labels/uuid.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import {
  decodePfnBlock,
  encodePfnBlock,
  INFO_BLOCK_AT,
  INFO_BLOCK_SIZE,
  type PfnInfoBlock,
  STRUCT_PAGE_SIZE,
} from "./info-block.ts";
import { INFO_BLOCK_RESERVE, type NamespaceIo, withNamespaceIo } from "./namespace-io.ts";
import { alignedLayout, COMPAT_ALIGN, type PfnLayoutPolicy } from "./pfn-layout.ts";

/**
 * Reads and validates the info block of a namespace.
 *
 * @param expected configuration of the claim; undefined when probing for a claim
 * @throws KernelError ENODEV when there is no block for this namespace, EOPNOTSUPP for an unusable block, ENXIO when
 * the block can't be read
 * @see nd_pfn_validate()
 */
export function validatePfnBlock(
  io: NamespaceIo,
  kind: "pfn" | "dax",
  expected?: { readonly uuid: string; readonly align: number; readonly mode: PfnMode },
): PfnInfoBlock {
  const { namespace } = io;
  const block = decodePfnBlock(readBlock(io));
  if (block?.kind !== kind || block.parentUuid !== (namespace.uuid ?? NULL_UUID))
    throw new KernelError("ENODEV", `${namespace.name} has no ${kind} info block of its own`);
  if (expected && expected.uuid !== block.uuid)
    throw new KernelError("ENODEV", `the info block of ${namespace.name} belongs to ${block.uuid}`);
  const wrong =
    (block.mode === "none" && "has no mode") ||
    (block.mode === "pmem" && block.pageSize > PAGE_SIZE && `has pages of ${block.pageSize} bytes`) ||
    (block.mode === "pmem" &&
      block.pageStructSize < STRUCT_PAGE_SIZE &&
      `has room for struct pages of ${block.pageStructSize} bytes`) ||
    (!isSupported(block.align) && kind === "dax" && `has an alignment of ${block.align}`) ||
    (expected && (expected.align !== block.align || expected.mode !== block.mode) && "has other settings") ||
    (block.align > namespace.size && `has an alignment of ${block.align}, more than the namespace`) ||
    (block.dataOffset >= namespace.size && "says that struct pages fill the whole namespace") ||
    (!isAligned(namespace.range.start + block.startPad + block.dataOffset, block.align) &&
      "says that data begins unaligned") ||
    (!isAligned(namespace.range.start + block.startPad, COMPAT_ALIGN) && "begins misaligned") ||
    (!isAligned(namespace.range.end - block.endTrunc, COMPAT_ALIGN) && "ends misaligned");
  if (typeof wrong === "string")
    throw new KernelError(
      "EOPNOTSUPP",
      `the info block of ${namespace.name} ${wrong}: reconfigure the namespace`,
    );
  return block;
}

/**
 * Writes the info block of a configured claim, unless it is on the media already.
 *
 * @returns the info block, and the range to map with struct pages
 * @throws KernelError ENODEV when the claim isn't configured, EINVAL when the namespace is misaligned, ENXIO when no
 * room is left for data, EOPNOTSUPP for a block with other settings, EIO when errors can't be cleared, ENOMEM
 */
export function setupPfn(claim: Claim): { readonly block: PfnInfoBlock; readonly pagemap: PagemapRequest } {
  const { namespace, uuid } = claim;
  if (!namespace || uuid === undefined)
    throw new KernelError("ENODEV", `${claim.name} is not configured: give it a uuid and a namespace`);
  const kind = claim.kind === "dax" ? "dax" : "pfn";
  claim.kernel.faults.point("failslab").alloc(`the info block of ${claim.name}`);
  const block = withNamespaceIo(namespace, INFO_BLOCK_RESERVE, (io) =>
    existingBlock(io, kind, { uuid, align: claim.align, mode: claim.mode }),
  );
  const wanted = block ?? layoutOf(claim, namespace, uuid, kind);
  clearStructPageErrors(namespace, wanted);
  if (!block)
    withNamespaceIo(namespace, INFO_BLOCK_RESERVE, (io) => io.write(INFO_BLOCK_AT, encodePfnBlock(wanted)));
  return { block: wanted, pagemap: pagemapOf(namespace, wanted) };
}

/** The data area, in physical addresses. */
export function dataRange({ range }: Namespace, block: PfnInfoBlock): { start: number; end: number } {
  return { start: range.start + block.startPad + block.dataOffset, end: range.end - block.endTrunc };
}

function readBlock(io: NamespaceIo): Uint8Array {
  try {
    return io.read(INFO_BLOCK_AT, INFO_BLOCK_SIZE);
  } catch (error) {
    if (error instanceof KernelError)
      throw new KernelError(
        "ENXIO",
        `the info block of ${io.namespace.name} can't be read (${error.reason})`,
      );
    throw error;
  }
}

function existingBlock(
  io: NamespaceIo,
  kind: "pfn" | "dax",
  expected: { readonly uuid: string; readonly align: number; readonly mode: PfnMode },
): PfnInfoBlock | undefined {
  try {
    return validatePfnBlock(io, kind, expected);
  } catch (error) {
    if (error instanceof KernelError && error.errno === "ENODEV") return undefined;
    throw error;
  }
}

/** Computes the layout of a new info block. @see nd_pfn_init() */
function layoutOf(claim: Claim, namespace: Namespace, uuid: string, kind: "pfn" | "dax"): PfnInfoBlock {
  if (claim.region.readOnly)
    throw new KernelError("ENXIO", `${claim.region.name} is read-only: no info block can be written`);
  if (claim.mode === "none")
    throw new KernelError("ENXIO", `${claim.name} has no mode: write ram or pmem to it`);
  const { startPad, endTrunc, dataOffset } = layoutPolicy(namespace).layOut(claim, namespace);
  const bytes = namespace.size - startPad - dataOffset - endTrunc;
  if (bytes <= 0) {
    claim.log(3, `${namespace.name} unable to satisfy requested alignment`);
    throw new KernelError(
      "ENXIO",
      `nothing is left of ${namespace.name} with an alignment of ${claim.align}: choose a smaller one`,
    );
  }
  return {
    kind,
    uuid,
    parentUuid: namespace.uuid ?? NULL_UUID,
    mode: claim.mode,
    startPad,
    dataOffset,
    npfns: bytes / PAGE_SIZE,
    endTrunc,
    align: claim.align,
    pageSize: PAGE_SIZE,
    pageStructSize: STRUCT_PAGE_SIZE,
  };
}

/** Clears errors in the area of struct pages, which will be overwritten anyway. @see nd_pfn_clear_memmap_errors() */
function clearStructPageErrors(namespace: Namespace, { mode, dataOffset }: PfnInfoBlock): void {
  if (mode !== "pmem") return;
  const { region } = namespace;
  const base = namespace.range.start - region.start;
  const [first, last] = [base + INFO_BLOCK_RESERVE, base + dataOffset];
  withNamespaceIo(namespace, dataOffset, (io) => {
    let at = first;
    while (at < last) {
      const bad = region.badblocks.check(at / SECTOR_SIZE, (last - at) / SECTOR_SIZE);
      if (!bad) return;
      const start = Math.max(at, alignDown(bad.firstBad * SECTOR_SIZE, PAGE_SIZE));
      const end = Math.min(last, alignUp((bad.firstBad + bad.badSectors) * SECTOR_SIZE, PAGE_SIZE));
      io.write(start - base, new Uint8Array(end - start));
      // Advance past the written sectors: without firmware support they stay in the list of bad blocks.
      at = end;
    }
  });
}

/** @see __nvdimm_setup_pfn() */
function pagemapOf(namespace: Namespace, block: PfnInfoBlock): PagemapRequest {
  const { range } = namespace;
  const { mode, startPad, dataOffset, endTrunc } = block;
  const start = range.start + startPad;
  const base = alignDown(start, layoutPolicy(namespace).altmapUnit);
  return {
    range: { start, end: range.end - endTrunc },
    altmap:
      mode === "pmem"
        ? {
            basePfn: base / PAGE_SIZE,
            reserve: (INFO_BLOCK_RESERVE + start - base) / PAGE_SIZE,
            free: (dataOffset - INFO_BLOCK_RESERVE) / PAGE_SIZE,
          }
        : undefined,
  };
}

function layoutPolicy({ region }: Namespace): PfnLayoutPolicy {
  return region.bus.pfnLayout ?? alignedLayout;
}

function isSupported(align: number): boolean {
  return PFN_ALIGNMENTS.some((one) => one === align);
}
