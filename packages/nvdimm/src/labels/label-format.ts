// The format of labels and index blocks in a module's label area, in versions 1.1 (128-byte labels) and 1.2 (256-byte
// labels) of the UEFI specification. Kernel counterpart: drivers/nvdimm/label.h.
import { alignUp } from "@hetmem/kernel";
import { blockChecksum } from "./fletcher64.ts";
import { guidFromBytes, guidToBytes, NULL_UUID, type Uuid, uuidFromBytes, uuidToBytes } from "./uuid.ts";

/** Sizes of index blocks are multiples of this, in bytes. @see NSINDEX_ALIGN */
const NSINDEX_ALIGN = 256;
/** Offset of the bitmap of free slots in an index block, in bytes. */
export const INDEX_HEADER_SIZE = 72;
const INDEX_CHECKSUM_AT = 64;
const LABEL_CHECKSUM_AT = 248;
const SIGNATURE = "NAMESPACE_INDEX\0";
const NAME_LENGTH = 64;
/** Flag: the label belongs to a set that is being updated. @see NSLABEL_FLAG_UPDATING */
export const LABEL_UPDATING = 8;
/** Type GUID of persistent memory. @see NFIT_SPA_PM */
export const PMEM_TYPE_GUID: Uuid = "66f0d379-b4f3-4074-ac43-0d3318b78cdc";

export type LabelSize = 128 | 256;

/** Holder class of a namespace. @see enum nvdimm_claim_class */
export type ClaimClass = "none" | "btt" | "btt2" | "pfn" | "dax" | "unknown";

const CLAIM_GUIDS: Readonly<Record<Uuid, ClaimClass>> = {
  [NULL_UUID]: "none",
  "8aed63a2-29a2-4c66-8b12-f05d15d3922a": "btt",
  "18633bfc-1735-4217-8ac9-17239282d3f8": "btt2",
  "266400ba-fb9f-4677-bcb0-968f11d0d225": "pfn",
  "97a86d9c-3cdd-4eda-986f-5068b4f80088": "dax",
};

/** One label: the extent of a namespace on one module. @see struct nvdimm_efi_label */
export interface Label {
  readonly uuid: Uuid;
  readonly name: string;
  readonly flags: number;
  /** Number of labels of the namespace: one per module. */
  readonly nlabel: number;
  readonly position: number;
  /** Cookie of the interleave set. */
  readonly isetCookie: bigint;
  /** Sector size in bytes; 0 for none. */
  readonly lbaSize: number;
  /** First byte, as device address of the module. */
  readonly dpa: number;
  /** Bytes on this module. */
  readonly rawSize: number;
  readonly slot: number;
  readonly claimClass: ClaimClass;
}

/** @see struct nd_namespace_index */
export interface IndexBlock {
  readonly labelSize: LabelSize;
  /** Sequence number 1, 2, 3, 1 …: of two blocks, the successor is the newer one. */
  readonly seq: number;
  readonly myOffset: number;
  readonly mySize: number;
  readonly otherOffset: number;
  readonly labelOffset: number;
  readonly slots: number;
  readonly minor: number;
}

/** Bytes of an index block for a number of slots. @see __sizeof_namespace_index() */
export function indexSizeFor(slots: number): number {
  return alignUp(INDEX_HEADER_SIZE + Math.ceil(slots / 8), NSINDEX_ALIGN);
}

/** Number of labels that fit into a label area of `areaSize` bytes. @see nvdimm_num_label_slots() */
export function labelSlots(areaSize: number, labelSize: LabelSize): number {
  const index = indexSizeFor(Math.floor(areaSize / labelSize));
  return Math.floor((areaSize - 2 * index) / labelSize);
}

/** The newer of two sequence numbers. @see best_seq() */
export function bestSeq(one: number, other: number): number {
  if (one === 0 || one === other) return other;
  if (other === 0) return one;
  return nextSeq(one) === other ? other : one;
}

/** @see nd_inc_seq() */
export function nextSeq(seq: number): number {
  return [0, 2, 3, 1][seq & 3] ?? 0;
}

/** Decodes an index block. @returns undefined when the block isn't intact */
export function decodeIndex(block: Uint8Array): IndexBlock | undefined {
  const view = viewOf(block);
  if (decodeText(block.subarray(0, SIGNATURE.length)) !== SIGNATURE) return undefined;
  if (view.getBigUint64(INDEX_CHECKSUM_AT, true) !== blockChecksum(block, INDEX_CHECKSUM_AT))
    return undefined;
  const minor = view.getUint16(62, true);
  const shift = view.getUint8(19);
  if (minor >= 2 && shift > 1) return undefined;
  return {
    labelSize: minor >= 2 && shift === 1 ? 256 : 128,
    seq: view.getUint32(20, true) & 3,
    myOffset: Number(view.getBigUint64(24, true)),
    mySize: Number(view.getBigUint64(32, true)),
    otherOffset: Number(view.getBigUint64(40, true)),
    labelOffset: Number(view.getBigUint64(48, true)),
    slots: view.getUint32(56, true),
    minor,
  };
}

/** Writes the header of an index block, with the checksum over header and existing bitmap. */
export function encodeIndex(block: Uint8Array, index: IndexBlock): void {
  const view = viewOf(block);
  block.set(encodeText(SIGNATURE), 0);
  view.setUint32(16, 0, true);
  view.setUint8(19, index.labelSize >> 8);
  view.setUint32(20, index.seq, true);
  view.setBigUint64(24, BigInt(index.myOffset), true);
  view.setBigUint64(32, BigInt(index.mySize), true);
  view.setBigUint64(40, BigInt(index.otherOffset), true);
  view.setBigUint64(48, BigInt(index.labelOffset), true);
  view.setUint32(56, index.slots, true);
  view.setUint16(60, 1, true);
  view.setUint16(62, index.minor, true);
  view.setBigUint64(INDEX_CHECKSUM_AT, blockChecksum(block, INDEX_CHECKSUM_AT), true);
}

/** Decodes a label. @returns undefined when its checksum is wrong, or its slot number isn't `slot` */
export function decodeLabel(bytes: Uint8Array, slot: number): Label | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(120, true) !== slot) return undefined;
  const isLong = bytes.length >= 256;
  if (isLong && view.getBigUint64(LABEL_CHECKSUM_AT, true) !== blockChecksum(bytes, LABEL_CHECKSUM_AT))
    return undefined;
  return {
    uuid: uuidFromBytes(bytes),
    name: decodeText(bytes.subarray(16, 16 + NAME_LENGTH)).split("\0")[0] ?? "",
    flags: view.getUint32(80, true),
    nlabel: view.getUint16(84, true),
    position: view.getUint16(86, true),
    isetCookie: view.getBigUint64(88, true),
    lbaSize: Number(view.getBigUint64(96, true)),
    dpa: Number(view.getBigUint64(104, true)),
    rawSize: Number(view.getBigUint64(112, true)),
    slot,
    claimClass: isLong ? (CLAIM_GUIDS[guidFromBytes(bytes.subarray(144, 160))] ?? "unknown") : "none",
  };
}

/** The GUID of a holder class; version 1.1 labels have no field for it. @see to_abstraction_guid() */
export function claimGuid(claimClass: ClaimClass): Uuid {
  return Object.entries(CLAIM_GUIDS).find(([, name]) => name === claimClass)?.[0] ?? NULL_UUID;
}

export function encodeLabel(label: Label, size: LabelSize): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  bytes.set(uuidToBytes(label.uuid), 0);
  bytes.set(encodeText(label.name).subarray(0, NAME_LENGTH - 1), 16);
  view.setUint32(80, label.flags, true);
  view.setUint16(84, label.nlabel, true);
  view.setUint16(86, label.position, true);
  view.setBigUint64(88, label.isetCookie, true);
  view.setBigUint64(96, BigInt(label.lbaSize), true);
  view.setBigUint64(104, BigInt(label.dpa), true);
  view.setBigUint64(112, BigInt(label.rawSize), true);
  view.setUint32(120, label.slot, true);
  if (size < 256) return bytes;
  bytes.set(guidToBytes(PMEM_TYPE_GUID), 128);
  bytes.set(guidToBytes(claimGuid(label.claimClass)), 144);
  view.setBigUint64(LABEL_CHECKSUM_AT, blockChecksum(bytes, LABEL_CHECKSUM_AT), true);
  return bytes;
}

export function encodeText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

export function decodeText(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
