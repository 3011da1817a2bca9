// Restores namespaces of a captured host on blank modules: writes the same labels and info blocks at the same
// addresses, to be found when the media is registered. Kernel counterpart: none.
import { KernelError, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { requestRegion } from "@hetmem/resource";
import { labelId } from "../devices/dimm.ts";
import { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { bttInfoBlock } from "../drivers/btt.ts";
import { encodePfnBlock, INFO_BLOCK_AT, STRUCT_PAGE_SIZE } from "../drivers/info-block.ts";
import { storeBytes } from "../drivers/media-io.ts";
import type { Range } from "../errors/range-set.ts";
import { updateLabels } from "./update-labels.ts";
import { NULL_UUID, type Uuid } from "./uuid.ts";

/** The claim of a captured namespace. */
export type ClaimRecord =
  | { readonly kind: "btt"; readonly uuid: Uuid; /** Bytes. */ readonly sectorSize: number }
  | {
      readonly kind: "pfn" | "dax";
      readonly uuid: Uuid;
      /** Bytes. */
      readonly align: number;
      /** Location of struct pages: RAM, or the namespace. */
      readonly mode: "ram" | "pmem";
      /** The data area. */
      readonly data: Range;
    };

/** The /sys attributes of a namespace. */
export interface NamespaceRecord {
  readonly range: Range;
  /** Uuid of its labels; an unlabelled namespace is its whole region. */
  readonly uuid?: Uuid;
  readonly name?: string;
  /** Bytes. */
  readonly sectorSize?: number;
  readonly claim?: ClaimRecord;
}

/**
 * Writes the labels and info block of a namespace to the modules of an enabled region. The namespace exists when the
 * media is registered again.
 *
 * @throws KernelError EINVAL for an invalid range, EBUSY when the range is allocated, ENXIO when a module is disabled
 */
export function* restoreNamespace(region: Region, record: NamespaceRecord): Sleeps<void> {
  const { range, uuid, name = "", sectorSize = 0, claim } = record;
  const ways = Math.max(1, region.mappings.length);
  if (range.start < region.start || range.end > region.end || (range.end - range.start) % ways !== 0)
    throw new KernelError(
      "EINVAL",
      `0x${range.start.toString(16)}-0x${range.end.toString(16)} is no part of ${region.name} that its ${ways} modules share`,
    );
  const namespace = new Namespace(region, uuid === undefined ? "io" : "pmem", 0);
  namespace.uuid = uuid;
  namespace.altName = name;
  namespace.lbaSize = sectorSize;
  namespace.claimClass = claim === undefined ? "none" : claim.kind === "btt" && uuid ? "btt2" : claim.kind;
  if (uuid !== undefined) {
    for (const { dimm, start } of region.mappings) {
      const size = (range.end - range.start) / ways;
      const at = start + (range.start - region.start) / ways;
      requestRegion(dimm.expectData().dpa, at, size, labelId(uuid));
    }
    namespace.setRange(range.end - range.start);
    yield* updateLabels(namespace);
  }
  if (claim) writeInfoBlock(namespace, claim);
}

function writeInfoBlock(namespace: Namespace, claim: ClaimRecord): void {
  const { region, range } = namespace;
  if (claim.kind === "btt") {
    const { at, bytes } = bttInfoBlock(namespace, claim.uuid, claim.sectorSize);
    return storeBytes(region, range.start + at, bytes);
  }
  const { kind, uuid, align, mode, data } = claim;
  const block = encodePfnBlock({
    kind,
    uuid,
    parentUuid: namespace.uuid ?? NULL_UUID,
    mode,
    startPad: 0,
    dataOffset: data.start - range.start,
    npfns: (data.end - data.start) / PAGE_SIZE,
    endTrunc: range.end - data.end,
    align,
    pageSize: PAGE_SIZE,
    pageStructSize: STRUCT_PAGE_SIZE,
  });
  storeBytes(region, range.start + INFO_BLOCK_AT, block);
}
