// /sys/devices/system/memory: the files that add, online and offline memory blocks and inject memory failures. Kernel
// counterpart: the device attributes of drivers/base/memory.c.
import {
  KernelError,
  kstrtobool,
  kstrtoull,
  type NodeId,
  PAGE_SIZE,
  type Pfn,
  physAddr,
  type Sleeps,
} from "@hetmem/kernel";
import { sectionOfPfn, sectionToPfn } from "@hetmem/page";
import type { AttributeTable, Params } from "@hetmem/vfs";
import { devicePowerFiles } from "./device-power.ts";
import { isUnused } from "./isolation.ts";
import { type MemoryBlock, offlineBlock, onlineBlock, validZones } from "./memory-block.ts";
import type { MemoryFailure } from "./memory-failure.ts";
import type { MemoryHotplug } from "./memory-hotplug.ts";
import type { OnlineType } from "./placement.ts";

export interface MemorySysfsOptions {
  readonly hotplug: MemoryHotplug;
  /** The handling of bad memory; absent: the files that inject it are, too. @see CONFIG_MEMORY_FAILURE */
  readonly failure?: MemoryFailure | undefined;
  /** The node of a physical address according to the firmware. @see memory_add_physaddr_to_nid() */
  readonly nodeOfAddress: (address: number) => NodeId;
  readonly removable: RemovablePolicy;
  /** The values that auto_online_blocks accepts. */
  readonly autoOnlineTypes: readonly (OnlineType | "offline")[];
  /** Whether memory can be added by hand; it can when absent. @see CONFIG_ARCH_MEMORY_PROBE */
  readonly probe?: boolean;
}

/** Values before Linux 5.7, which had no default zone for added blocks. */
export const autoOnlineOrNot: MemorySysfsOptions["autoOnlineTypes"] = ["offline", "online"];
/** Values since Linux 5.7. @see mhp_default_online_type in mm/memory_hotplug.c */
export const autoOnlineAnyType: MemorySysfsOptions["autoOnlineTypes"] = [
  "offline",
  "online",
  "online_kernel",
  "online_movable",
];

/** The value of a block's `removable` file. */
export type RemovablePolicy = (hotplug: MemoryHotplug, block: MemoryBlock) => boolean;

/**
 * All blocks are removable: the file is kept for old programs.
 *
 * @see 53cdc1cb29e8 ("drivers/base/memory.c: indicate all memory blocks as removable")
 */
export const alwaysRemovable: RemovablePolicy = () => true;

/** No block is removable. @see CONFIG_MEMORY_HOTREMOVE=n */
export const neverRemovable: RemovablePolicy = () => false;

/**
 * An online block is removable when all its pages are free or movable, an offline one always.
 *
 * @see is_mem_section_removable() before 53cdc1cb29e8
 */
export const removableByContents: RemovablePolicy = (hotplug, block) => {
  const { zone, start, pages } = block;
  if (block.state === "offline") return true;
  if (!zone) return false;
  const { memmap } = hotplug.memory;
  for (let frame = start as number; frame < start + pages;) {
    if (!memmap.pfnValid(frame as Pfn)) return false;
    const section = sectionOfPfn(frame as Pfn);
    if (memmap.sections.isUntouched(section) || !memmap.initialised(memmap.pfnToPage(frame as Pfn))) {
      if (!zone.deferred.isFree(section)) return false;
      frame = sectionToPfn(section + 1);
      continue;
    }
    const page = memmap.pfnToPage(frame as Pfn);
    const order = memmap.freeBlockOrder(page, zone.type);
    const used = order < 0 && !isUnused(hotplug.memory, page);
    if (used && !hotplug.migration.isMovable(memmap.compoundHead(page))) return false;
    frame += order < 0 ? 1 : 1 << order;
  }
  return true;
};

export function memorySysfs(options: MemorySysfsOptions): AttributeTable {
  const { hotplug, failure, removable, autoOnlineTypes, probe = true } = options;
  const blockOf = ({ block }: Params): MemoryBlock => hotplug.block(Number(block));
  return {
    root: "/sys/devices/system/memory",
    instances: {
      block: () => [...hotplug.blocks.keys()].map(String),
      node: ({ block }) => hotplug.block(Number(block)).nodes.map(String),
    },
    exists: { block: (block) => hotplug.blocks.has(Number(block)) && `${Number(block)}` === block },
    links: {
      "memory{block}/node{node}": ({ node }) => `../../node/node${node}`,
      "memory{block}/subsystem": () => "../../../../bus/memory",
    },
    files: {
      ...devicePowerFiles(""),
      ...devicePowerFiles("memory{block}/"),
      uevent: { show: () => "", store: () => {} },
      block_size_bytes: { show: () => `${hotplug.blockSize.toString(16)}\n` },
      auto_online_blocks: {
        show: () => `${hotplug.autoOnline}\n`,
        store: (_params, text) => {
          hotplug.autoOnline = parseOnlineType(text, autoOnlineTypes);
        },
      },
      ...(probe && probeFile(options)),
      ...(failure && poisonFiles(failure)),
      "memory{block}/phys_index": {
        show: (params) => `${blockOf(params).id.toString(16).padStart(8, "0")}\n`,
      },
      "memory{block}/phys_device": { show: () => "0\n" },
      "memory{block}/removable": { show: (params) => `${Number(removable(hotplug, blockOf(params)))}\n` },
      "memory{block}/state": {
        show: (params) => `${blockOf(params).state}\n`,
        store: (params, text) =>
          storeState(hotplug, Number(params["block"]), parseOnlineType(text, autoOnlineAnyType)),
      },
      "memory{block}/online": {
        show: (params) => `${Number(blockOf(params).state === "online")}\n`,
        store: (params, text) => storeOnline(hotplug, Number(params["block"]), text),
      },
      ...(hotplug.hotremove && validZonesFile(hotplug)),
      "memory{block}/uevent": { show: () => "", store: () => {} },
    },
  };
}

/** @see probe_store() */
function probeFile({ hotplug, nodeOfAddress }: MemorySysfsOptions): AttributeTable["files"] {
  return {
    probe: {
      *store(_params, text) {
        const address = kstrtoull(text);
        if (address % hotplug.blockSize !== 0) {
          throw new KernelError(
            "EINVAL",
            `0x${address.toString(16)} is not the start of a block: use a multiple of 0x${hotplug.blockSize.toString(16)}`,
          );
        }
        yield* underDeviceHotplug(hotplug, () =>
          hotplug.addMemory(nodeOfAddress(address), physAddr(address), hotplug.blockSize),
        );
      },
    },
  };
}

function poisonFiles(failure: MemoryFailure): AttributeTable["files"] {
  return {
    soft_offline_page: { store: (_params, text) => failure.softOffline(frameOf(text)) },
    hard_offline_page: { store: (_params, text) => failure.hardOffline(frameOf(text)) },
  };
}

/** @see valid_zones_show(), which CONFIG_MEMORY_HOTREMOVE brings */
function validZonesFile(hotplug: MemoryHotplug): AttributeTable["files"] {
  return {
    "memory{block}/valid_zones": {
      show({ block }) {
        const zones = validZones(hotplug, hotplug.block(Number(block)));
        return `${zones.map((zone) => zone.name).join(" ") || "none"}\n`;
      },
    },
  };
}

/**
 * Writes to `state`. A block that has the state already is EINVAL here, and no error for `online`.
 *
 * @see state_store()
 */
function* storeState(hotplug: MemoryHotplug, id: number, type: OnlineType | "offline"): Sleeps<void> {
  const changed = yield* underDeviceHotplug(hotplug, () => changeState(hotplug, id, type));
  if (!changed)
    throw new KernelError("EINVAL", `memory${id} is ${type === "offline" ? "offline" : "online"} already`);
}

/** @see online_store() in drivers/base/core.c */
function* storeOnline(hotplug: MemoryHotplug, id: number, text: string): Sleeps<void> {
  const online = kstrtobool(text);
  yield* underDeviceHotplug(hotplug, () => changeState(hotplug, id, online ? "online" : "offline"));
}

function changeState(hotplug: MemoryHotplug, id: number, type: OnlineType | "offline"): Sleeps<boolean> {
  const block = hotplug.block(id);
  return type === "offline" ? offlineBlock(hotplug, block) : onlineBlock(hotplug, block, type);
}

function* underDeviceHotplug<T>(hotplug: MemoryHotplug, change: () => Sleeps<T>): Sleeps<T> {
  yield* hotplug.locks.lockDeviceHotplug();
  try {
    return yield* change();
  } finally {
    hotplug.locks.unlockDeviceHotplug();
  }
}

/** @see mhp_online_type_from_str() */
function parseOnlineType(text: string, types: MemorySysfsOptions["autoOnlineTypes"]): OnlineType | "offline" {
  const word = text.replace(/\n$/, "");
  const type = types.find((known) => known === word);
  if (!type) throw new KernelError("EINVAL", `"${word}" is not a state: write one of ${types.join(", ")}`);
  return type;
}

/**
 * The frame of a written address in bytes.
 *
 * @throws KernelError EINVAL for a text that isn't a number or is too large
 */
function frameOf(text: string): Pfn {
  try {
    return Math.floor(kstrtoull(text) / PAGE_SIZE) as Pfn;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new KernelError(
      "EINVAL",
      `"${text.trim()}" is not a physical address: write it in bytes, as 0x100003000`,
    );
  }
}
