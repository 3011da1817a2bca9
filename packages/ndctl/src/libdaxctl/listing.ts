// Dax regions and devices as daxctl and ndctl print them. User space counterpart: daxctl/json.c of ndctl.
import type { Sleeps } from "@hetmem/kernel";
import { type Json, jsonHex, jsonSize } from "@hetmem/shell/tool";
import { numberIn, type TreeContext } from "../sysfs/attributes.ts";
import { type DaxDevice, type DaxRegionPath, isEnabled, mappingsOf } from "./library.ts";
import { countOnline, isMovable, memoryOf } from "./memory.ts";

/** How devices are printed. */
export interface DaxListing {
  readonly human: boolean;
  readonly mappings?: boolean;
  /** Also those that are disabled. */
  readonly idle?: boolean;
}

/** @see util_daxctl_region_to_json() */
export function* regionJson(
  io: TreeContext,
  { id, path }: DaxRegionPath,
  devices: readonly Json[],
  human: boolean,
): Sleeps<{ readonly [key: string]: Json | undefined }> {
  const folder = `${path}/dax_region`;
  const size = yield* numberIn(io, `${folder}/size`);
  const available = yield* numberIn(io, `${folder}/available_size`);
  return {
    path: path.replace(/^\/sys\/devices/, ""),
    id,
    size: size === undefined ? undefined : jsonSize(size, human),
    available_size: available ? jsonSize(available, human) : undefined,
    align: yield* numberIn(io, `${folder}/align`),
    devices: devices.length > 0 ? devices : undefined,
  };
}

/** Devices with a size; others are idle, and listed when that is asked for. */
export function* devicesJson(
  io: TreeContext,
  devices: readonly DaxDevice[],
  listing: DaxListing,
): Sleeps<Json[]> {
  const items: Json[] = [];
  for (const device of devices) {
    const size = yield* numberIn(io, `${device.path}/size`);
    if (size || listing.idle) items.push(yield* deviceJson(io, device, listing));
  }
  return items;
}

/** @see util_daxctl_dev_to_json() */
export function* deviceJson(io: TreeContext, device: DaxDevice, listing: DaxListing): Sleeps<Json> {
  const { human } = listing;
  const { name, path } = device;
  const node = (yield* numberIn(io, `${path}/target_node`)) ?? -1;
  const align = (yield* numberIn(io, `${path}/align`)) ?? 0;
  const memory = yield* memoryOf(io, device);
  const mappings = listing.mappings ? yield* mappingsOf(io, device) : [];
  const shownMappings = mappings.length > 0 ? mappings.toReversed() : undefined;
  return {
    chardev: name,
    size: jsonSize((yield* numberIn(io, `${path}/size`)) ?? 0, human),
    target_node: node >= 0 ? node : undefined,
    align: align > 0 ? jsonSize(align, human) : undefined,
    mode: memory ? "system-ram" : "devdax",
    online_memblocks: memory && (yield* countOnline(io, memory)),
    total_memblocks: memory?.blocks.length,
    movable: memory && (yield* isMovable(io, memory)),
    state: isEnabled(io, device) ? undefined : "disabled",
    mappings: shownMappings?.map(({ page_offset, start, end, size }) => ({
      page_offset: jsonHex(page_offset, human),
      start: jsonHex(start, human),
      end: jsonHex(end, human),
      size: jsonSize(size, human),
    })),
  };
}
