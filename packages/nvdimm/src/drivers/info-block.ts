// The info block of a pfn or dax device, 4 KiB into the namespace: start of data, location of struct pages, and the
// uuid of the namespace it was created for. Kernel counterpart: struct nd_pfn_sb in drivers/nvdimm/pfn.h.
import type { PfnMode } from "../devices/claim.ts";
import { blockChecksum } from "../labels/fletcher64.ts";
import { decodeText, encodeText, viewOf } from "../labels/label-format.ts";
import { type Uuid, uuidFromBytes, uuidToBytes } from "../labels/uuid.ts";

/** Reserved bytes per struct page. @see MAX_STRUCT_PAGE_SIZE */
export const STRUCT_PAGE_SIZE = 64;
/** Offset in the namespace, and size, in bytes. */
export const INFO_BLOCK_AT = 4096;
export const INFO_BLOCK_SIZE = 4096;
const CHECKSUM_AT = 4088;
const SIGNATURES = { pfn: "NVDIMM_PFN_INFO\0", dax: "NVDIMM_DAX_INFO\0" } as const;
const MODES: readonly PfnMode[] = ["none", "ram", "pmem"];
const VERSION_MINOR = 4;

export interface PfnInfoBlock {
  readonly kind: "pfn" | "dax";
  readonly uuid: Uuid;
  /** Uuid of the namespace it was created for, from its label. */
  readonly parentUuid: Uuid;
  readonly mode: PfnMode;
  /** Unmapped bytes at the start of the namespace. */
  readonly startPad: number;
  /** Bytes from there to the data area. */
  readonly dataOffset: number;
  /** Number of data pages. */
  readonly npfns: number;
  /** Bytes truncated at the end for alignment. */
  readonly endTrunc: number;
  readonly align: number;
  /** Bytes. */
  readonly pageSize: number;
  readonly pageStructSize: number;
}

export function encodePfnBlock(block: PfnInfoBlock): Uint8Array {
  const bytes = new Uint8Array(INFO_BLOCK_SIZE);
  const view = viewOf(bytes);
  bytes.set(encodeText(SIGNATURES[block.kind]), 0);
  bytes.set(uuidToBytes(block.uuid), 16);
  bytes.set(uuidToBytes(block.parentUuid), 32);
  view.setUint16(52, 1, true);
  view.setUint16(54, VERSION_MINOR, true);
  view.setBigUint64(56, BigInt(block.dataOffset), true);
  view.setBigUint64(64, BigInt(block.npfns), true);
  view.setUint32(72, MODES.indexOf(block.mode), true);
  view.setUint32(76, block.startPad, true);
  view.setUint32(80, block.endTrunc, true);
  view.setUint32(84, block.align, true);
  view.setUint32(88, block.pageSize, true);
  view.setUint16(92, block.pageStructSize, true);
  view.setBigUint64(CHECKSUM_AT, blockChecksum(bytes, CHECKSUM_AT), true);
  return bytes;
}

/** Decodes an info block. @returns undefined when the bytes aren't an intact block of either kind */
export function decodePfnBlock(bytes: Uint8Array): PfnInfoBlock | undefined {
  const view = viewOf(bytes);
  const signature = decodeText(bytes.subarray(0, 16));
  const kind = signature === SIGNATURES.pfn ? "pfn" : signature === SIGNATURES.dax ? "dax" : undefined;
  const mode = MODES[view.getUint32(72, true)];
  if (!kind || !mode || view.getBigUint64(CHECKSUM_AT, true) !== blockChecksum(bytes, CHECKSUM_AT))
    return undefined;
  return {
    kind,
    uuid: uuidFromBytes(bytes.subarray(16, 32)),
    parentUuid: uuidFromBytes(bytes.subarray(32, 48)),
    mode,
    startPad: view.getUint32(76, true),
    dataOffset: Number(view.getBigUint64(56, true)),
    npfns: Number(view.getBigUint64(64, true)),
    endTrunc: view.getUint32(80, true),
    align: view.getUint32(84, true),
    pageSize: view.getUint32(88, true),
    pageStructSize: view.getUint16(92, true),
  };
}
