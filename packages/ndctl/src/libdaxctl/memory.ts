// The memory blocks of a device in system-ram mode: finding them, counting online ones, and taking them on- and offline. User space counterpart: daxctl_memory_op() in daxctl/lib/libdaxctl.c.
import { type KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { attribute, namesIn, numberIn, refusalOf, type TreeContext } from "../sysfs/attributes.ts";
import { type DaxctlContext, type DaxDevice, isSystemRam } from "./library.ts";

/** Blocks of one device. */
export interface DaxMemory {
  readonly device: DaxDevice;
  /** Their directories below the node's. */
  readonly blocks: readonly string[];
}

/**
 * The blocks that begin in the `size` bytes from the device's `resource` on: of a device with several ranges, these are the
 * first and as much behind it as the whole has.
 *
 * @returns undefined when the device isn't in system-ram mode
 * @see daxctl_dev_get_memory(), memblock_in_dev()
 */
export function* memoryOf(io: TreeContext, device: DaxDevice): Sleeps<DaxMemory | undefined> {
  if (!isSystemRam(io, device)) return undefined;
  const node = yield* numberIn(io, `${device.path}/target_node`);
  const blockSize = Number.parseInt(
    (yield* attribute(io, "/sys/devices/system/memory/block_size_bytes")) ?? "",
    16,
  );
  const first = (yield* numberIn(io, `${device.path}/resource`)) ?? 0;
  const end = first + ((yield* numberIn(io, `${device.path}/size`)) ?? 0);
  const folder = `/sys/devices/system/node/node${node}`;
  const blocks: string[] = [];
  for (const name of namesIn(io, folder).filter((each) => /^memory\d+$/.test(each))) {
    const index = (yield* attribute(io, `/sys/devices/system/memory/${name}/phys_index`)) ?? "";
    const start = Number.parseInt(index, 16) * blockSize;
    if (first <= start && start < end) blocks.push(`${folder}/${name}`);
  }
  return { device, blocks: blocks.sort((one, other) => blockNumber(one) - blockNumber(other)) };
}

/** Blocks that are online. @see daxctl_memory_is_online() */
export function* countOnline(io: TreeContext, { blocks }: DaxMemory): Sleeps<number> {
  let online = 0;
  for (const block of blocks) if (yield* isOnline(io, block)) online++;
  return online;
}

/** Whether all of it is in ZONE_MOVABLE; undefined unless all of it is online. @see daxctl_memory_is_movable() */
export function* isMovable(io: TreeContext, { blocks }: DaxMemory): Sleeps<boolean | undefined> {
  const zones = new Set<string>();
  for (const block of blocks) {
    if (!(yield* isOnline(io, block))) return undefined;
    zones.add((yield* attribute(io, `${block}/valid_zones`)) ?? "");
  }
  return zones.size === 1 && zones.has("Movable");
}

/**
 * Takes all blocks online.
 *
 * @returns the number of blocks that changed
 * @throws KernelError the refusal of the first block that can't go online @see daxctl_memory_online()
 */
export function* onlineBlocks(
  io: DaxctlContext,
  { blocks }: DaxMemory,
  zone: "movable" | "normal",
): Sleeps<number> {
  return yield* changeBlocks(io, blocks, zone === "movable" ? "online_movable" : "online_kernel", () => {});
}

/**
 * Takes all blocks offline.
 *
 * @returns the number of blocks that changed
 * @throws KernelError the refusal of the first block that can't go offline, after a message @see daxctl_memory_offline()
 */
export function* offlineBlocks(io: DaxctlContext, { device, blocks }: DaxMemory): Sleeps<number> {
  return yield* changeBlocks(io, blocks, "offline", (block, { errno }) =>
    io.err(
      `libdaxctl: offline_one_memblock: ${device.name}: Failed to offline ${block}/state: ${strerror(errno)}\n`,
    ),
  );
}

function* changeBlocks(
  io: DaxctlContext,
  blocks: readonly string[],
  state: "online_movable" | "online_kernel" | "offline",
  complain: (block: string, error: KernelError) => void,
): Sleeps<number> {
  let changed = 0;
  const wanted = state !== "offline";
  for (const block of blocks) {
    if ((yield* isOnline(io, block)) === wanted) continue;
    const refused = yield* refusalOf(io, `${block}/state`, state);
    if (refused && (yield* isOnline(io, block)) !== wanted) {
      complain(block, refused);
      throw refused;
    }
    changed++;
  }
  return changed;
}

function* isOnline(io: TreeContext, block: string): Sleeps<boolean> {
  return ((yield* attribute(io, `${block}/state`)) ?? "").startsWith("online");
}

function blockNumber(block: string): number {
  return Number(/\d+$/.exec(block)?.[0]);
}
