// /sys/devices/system/memory of a host: the size of memory blocks, and the state and the zones of each.
// Kernel counterpart: drivers/base/memory.c. A kernel without memory hotplug has none of these files.
import { KernelError } from "@hetmem/kernel";
import { fileLabel, type HostTree } from "./tree.ts";

const ROOT = "/sys/devices/system/memory";

export type BlockState = "online" | "offline" | "going-offline";

export interface HostBlock {
  readonly id: number;
  readonly state: BlockState;
  /** valid_zones: the zone of an online block, or the zones that an offline block can go to. */
  readonly zones: readonly string[];
}

export interface HostBlocks {
  /** Bytes. */
  readonly blockSize: number;
  /** Ascending. */
  readonly blocks: readonly HostBlock[];
  /** auto_online_blocks: the state of blocks after they are added. */
  readonly autoOnline: string | undefined;
}

/**
 * Reads the memory blocks.
 *
 * @returns undefined on a kernel that has none
 * @throws KernelError EINVAL for a file that does not hold what it should
 */
export function readMemoryBlocks(tree: HostTree): HostBlocks | undefined {
  const sizeText = tree.read(`${ROOT}/block_size_bytes`)?.trim();
  if (sizeText === undefined) return undefined;
  if (!/^[0-9a-f]+$/.test(sizeText)) {
    throw new KernelError(
      "EINVAL",
      `${fileLabel(tree, `${ROOT}/block_size_bytes`)}: "${sizeText}" is not a hexadecimal size: capture the file again`,
    );
  }
  const ids = tree.list(ROOT).flatMap((name) => (/^memory\d+$/.test(name) ? [Number(name.slice(6))] : []));
  return {
    blockSize: Number.parseInt(sizeText, 16),
    blocks: ids.sort((a, b) => a - b).map((id) => readBlock(tree, id)),
    autoOnline: tree.read(`${ROOT}/auto_online_blocks`)?.trim(),
  };
}

function readBlock(tree: HostTree, id: number): HostBlock {
  const path = `${ROOT}/memory${id}`;
  const state = tree.read(`${path}/state`)?.trim() ?? "";
  if (state !== "online" && state !== "offline" && state !== "going-offline") {
    throw new KernelError(
      "EINVAL",
      `${fileLabel(tree, `${path}/state`)} says "${state}", not online or offline: capture the file again`,
    );
  }
  const zones = (tree.read(`${path}/valid_zones`) ?? "").trim().split(/\s+/);
  return { id, state, zones: zones.filter((name) => name !== "" && name !== "none") };
}
