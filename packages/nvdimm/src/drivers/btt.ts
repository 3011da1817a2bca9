// The block translation table, which makes sector writes atomic. Only the info block and the arithmetic of the arenas
// are modelled, for the mode and size that an administrator sees; the translation isn't. Kernel counterpart:
// drivers/nvdimm/btt.c, btt_devs.c.
import { alignDown, alignUp, GiB, KernelError, KiB, MiB } from "@hetmem/kernel";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import { blockChecksum } from "../labels/fletcher64.ts";
import { decodeText, encodeText, viewOf } from "../labels/label-format.ts";
import { NULL_UUID, type Uuid, uuidFromBytes, uuidToBytes } from "../labels/uuid.ts";
import { INFO_BLOCK_RESERVE, type NamespaceIo, withNamespaceIo } from "./namespace-io.ts";

const SIGNATURE = "BTT_ARENA_INFO\0\0";
const BLOCK_SIZE = 4 * KiB;
const CHECKSUM_AT = 4088;
const ARENA_SIZE_MAX = 512 * GiB;
const ARENA_SIZE_MIN = 16 * MiB;
/** Number of spare blocks of an arena. @see BTT_DEFAULT_NFREE */
const FREE_BLOCKS = 256;
const LOG_GROUP_SIZE = 64;
const MAP_ENTRY_SIZE = 4;
const INTERNAL_ALIGN = 64;

export interface BttInfoBlock {
  readonly uuid: Uuid;
  readonly parentUuid: Uuid;
  readonly sectorSize: number;
}

/** Offset of the info block in bytes: 0 since label version 1.2, else 4 KiB. @see nd_btt_version() */
function infoBlockAt(namespace: Namespace): number {
  return namespace.claimClass === "btt2" ? 0 : BLOCK_SIZE;
}

/**
 * Reads the info block.
 *
 * @throws KernelError ENODEV when there is no valid one for this namespace
 * @see nd_btt_version()
 */
export function readBttBlock(io: NamespaceIo): BttInfoBlock {
  const { namespace } = io;
  const bytes = io.read(infoBlockAt(namespace), BLOCK_SIZE);
  const view = viewOf(bytes);
  const parentUuid = uuidFromBytes(bytes.subarray(32, 48));
  if (
    decodeText(bytes.subarray(0, 16)) !== SIGNATURE ||
    view.getBigUint64(CHECKSUM_AT, true) !== blockChecksum(bytes, CHECKSUM_AT) ||
    (parentUuid !== NULL_UUID && parentUuid !== (namespace.uuid ?? NULL_UUID))
  )
    throw new KernelError("ENODEV", `${namespace.name} has no btt of its own`);
  return { uuid: uuidFromBytes(bytes.subarray(16, 32)), parentUuid, sectorSize: view.getUint32(56, true) };
}

/**
 * Writes the info block of a configured btt, unless it is on the media already.
 *
 * @returns size of the disk in bytes
 * @throws KernelError ENODEV when the claim isn't configured, ENXIO when the namespace is too small
 * @see nvdimm_namespace_attach_btt()
 */
export function setupBtt(claim: Claim): number {
  const { namespace, uuid, sectorSize } = claim;
  if (!namespace || uuid === undefined || sectorSize === 0)
    throw new KernelError(
      "ENODEV",
      `${claim.name} is not configured: give it a uuid, a sector size and a namespace`,
    );
  const { at, bytes } = bttInfoBlock(namespace, uuid, sectorSize);
  const size = bttSize(namespace.size - at, sectorSize);
  if (namespace.size - at < ARENA_SIZE_MIN || size <= 0)
    throw new KernelError("ENXIO", `${namespace.name} is too small for a btt: it needs 16 MiB`);
  withNamespaceIo(namespace, INFO_BLOCK_RESERVE, (io) => {
    if (!hasBlock(io, uuid)) io.write(at, bytes);
  });
  return size;
}

/**
 * Bytes left for sectors after each arena's two info blocks, log and map.
 *
 * @see alloc_arena()
 */
export function bttSize(rawSize: number, sectorSize: number): number {
  let sectors = 0;
  for (let left = rawSize; left >= ARENA_SIZE_MIN; left -= ARENA_SIZE_MAX) {
    const log = alignUp(FREE_BLOCKS * LOG_GROUP_SIZE, BLOCK_SIZE);
    const available = alignDown(Math.min(left, ARENA_SIZE_MAX), BLOCK_SIZE) - 2 * BLOCK_SIZE - log;
    const internal = alignUp(sectorSize, INTERNAL_ALIGN) + MAP_ENTRY_SIZE;
    sectors += Math.floor((available - BLOCK_SIZE) / internal) - FREE_BLOCKS;
  }
  return sectors * (sectorSize >= 4096 ? 4096 : 512);
}

/** An encoded info block, and its offset in the namespace. */
export function bttInfoBlock(
  namespace: Namespace,
  uuid: Uuid,
  sectorSize: number,
): { readonly at: number; readonly bytes: Uint8Array } {
  return { at: infoBlockAt(namespace), bytes: encodeBttBlock(namespace, uuid, sectorSize) };
}

function hasBlock(io: NamespaceIo, uuid: Uuid): boolean {
  try {
    return readBttBlock(io).uuid === uuid;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return false;
  }
}

function encodeBttBlock(namespace: Namespace, uuid: Uuid, sectorSize: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  const view = viewOf(bytes);
  const isVersion2 = namespace.claimClass === "btt2";
  bytes.set(encodeText(SIGNATURE), 0);
  bytes.set(uuidToBytes(uuid), 16);
  bytes.set(uuidToBytes(namespace.uuid ?? NULL_UUID), 32);
  view.setUint16(52, isVersion2 ? 2 : 1, true);
  view.setUint16(54, isVersion2 ? 0 : 1, true);
  view.setUint32(56, sectorSize, true);
  view.setUint32(64, alignUp(sectorSize, INTERNAL_ALIGN), true);
  view.setUint32(72, FREE_BLOCKS, true);
  view.setUint32(76, BLOCK_SIZE, true);
  view.setBigUint64(CHECKSUM_AT, blockChecksum(bytes, CHECKSUM_AT), true);
  return bytes;
}
