// The memory blocks of a device in system-ram mode: which they are, whether they are online, and taking them on- and
// offline. User space counterpart: daxctl_memory_op() in daxctl/lib/libdaxctl.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "../../program.ts";
import {
  attribute,
  type DaxDevice,
  isSystemRam,
  mappingsOf,
  namesIn,
  numberIn,
  refusalOf,
} from "./library.ts";

/** Blocks of one device. */
export interface DaxMemory {
  readonly device: DaxDevice;
  /** Their directories below the node's. */
  readonly blocks: readonly string[];
}

/** undefined when the device isn't in system-ram mode. @see daxctl_dev_get_memory() */
export function* memoryOf(io: ProgramContext, device: DaxDevice): Sleeps<DaxMemory | undefined> {
  if (!isSystemRam(io, device)) return undefined;
  const node = yield* numberIn(io, `${device.path}/target_node`);
  const size = Number.parseInt(
    (yield* attribute(io, "/sys/devices/system/memory/block_size_bytes")) ?? "",
    16,
  );
  const mappings = yield* mappingsOf(io, device);
  const folder = `/sys/devices/system/node/node${node}`;
  const blocks: string[] = [];
  for (const name of namesIn(io, folder).filter((each) => /^memory\d+$/.test(each))) {
    const start = Number.parseInt((yield* attribute(io, `${folder}/${name}/phys_index`)) ?? "", 16) * size;
    if (mappings.some((mapping) => mapping.start <= start && start + size - 1 <= mapping.end))
      blocks.push(`${folder}/${name}`);
  }
  return { device, blocks: blocks.sort((one, other) => blockNumber(one) - blockNumber(other)) };
}

/** Blocks that are online. @see daxctl_memory_is_online() */
export function* countOnline(io: ProgramContext, { blocks }: DaxMemory): Sleeps<number> {
  let online = 0;
  for (const block of blocks) if (yield* isOnline(io, block)) online++;
  return online;
}

/** Whether all of it is in ZONE_MOVABLE; undefined unless all of it is online, and in one zone. @see daxctl_memory_is_movable() */
export function* isMovable(io: ProgramContext, { blocks }: DaxMemory): Sleeps<boolean | undefined> {
  const zones = new Set<string>();
  for (const block of blocks) {
    if (!(yield* isOnline(io, block))) return undefined;
    zones.add((yield* attribute(io, `${block}/valid_zones`)) ?? "");
  }
  const [zone] = zones;
  return zones.size === 1 ? zone === "Movable" : undefined;
}

/**
 * Takes all blocks online.
 *
 * @returns how many weren't
 * @throws KernelError what the first block that can't is refused with @see daxctl_memory_online()
 */
export function* onlineBlocks(
  io: ProgramContext,
  memory: DaxMemory,
  zone: "movable" | "normal",
): Sleeps<number> {
  const changed = yield* changeBlocks(io, memory, zone === "movable" ? "online_movable" : "online_kernel");
  if ((yield* isMovable(io, memory)) !== (zone === "movable")) {
    io.err(
      `libdaxctl: daxctl_memory_online_with_zone: ${memory.device.name}:\n  WARNING: detected a race while onlining memory\n  See 'man daxctl-reconfigure-device' for more details\n`,
    );
  }
  return changed;
}

/** @see daxctl_memory_offline() */
export function* offlineBlocks(io: ProgramContext, memory: DaxMemory): Sleeps<number> {
  return yield* changeBlocks(io, memory, "offline");
}

function* changeBlocks(
  io: ProgramContext,
  { device, blocks }: DaxMemory,
  state: "online_movable" | "online_kernel" | "offline",
): Sleeps<number> {
  let changed = 0;
  const wanted = state !== "offline";
  for (const block of blocks) {
    if ((yield* isOnline(io, block)) === wanted) continue;
    const refused = yield* refusalOf(io, `${block}/state`, state);
    if ((yield* isOnline(io, block)) === wanted) {
      changed++;
      continue;
    }
    const error = refused ?? new KernelError("EIO", `${block} stays as it is`);
    const [caller, verb] = wanted ? ["online_one_memblock", "online"] : ["offline_one_memblock", "offline"];
    io.err(
      `libdaxctl: ${caller}: ${device.name}: Failed to ${verb} ${block}/state: ${strerror(error.errno)}\n`,
    );
    throw error;
  }
  return changed;
}

function* isOnline(io: ProgramContext, block: string): Sleeps<boolean> {
  return ((yield* attribute(io, `${block}/state`)) ?? "").startsWith("online");
}

function blockNumber(block: string): number {
  return Number(/\d+$/.exec(block)?.[0]);
}
