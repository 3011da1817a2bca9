// daxctl list, and devices as every command of daxctl prints them. User space counterpart: daxctl/list.c and daxctl/json.c
// of ndctl.
import type { Sleeps } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import { formatJsonArray, type Json, jsonHex, jsonSize } from "@hetmem/shell/tool";
import { errorLine, parseToolOptions, ToolUsageProblem, type ToolUsage } from "@hetmem/shell/tool";
import {
  type DaxDevice,
  daxDevices,
  type DaxRegionPath,
  isEnabled,
  isDevice,
  isRegion,
  mappingsOf,
  regionsOf,
} from "../libdaxctl/library.ts";
import { numberIn, type TreeContext } from "../sysfs/attributes.ts";
import { countOnline, isMovable, memoryOf } from "../libdaxctl/memory.ts";

/** How devices are printed. */
export interface DaxListing {
  readonly human: boolean;
  readonly mappings?: boolean;
  /** Also those that are disabled. */
  readonly idle?: boolean;
}

const USAGE: ToolUsage = {
  line: "daxctl list [<options>]",
  options: [
    { short: "r", long: "region", value: "region-id", help: "filter by region" },
    { short: "d", long: "dev", value: "dev-id", help: "filter by dax device instance name" },
    { short: "D", long: "devices", help: "include dax device info" },
    { short: "R", long: "regions", help: "include dax region info" },
    { short: "M", long: "mappings", help: "include dax mappings info" },
    { short: "i", long: "idle", help: "include idle devices" },
    { short: "u", long: "human", help: "use human friendly number formats " },
  ],
};

export function* list(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const { flags, values, operands } = parseToolOptions(args, USAGE);
  const unknown = operands.map((word) => errorLine(`unknown parameter "${word}"\n`)).join("");
  if (unknown !== "") throw new ToolUsageProblem(USAGE, unknown);
  const listing = { human: flags.has("human"), mappings: flags.has("mappings"), idle: flags.has("idle") };
  const any = flags.has("regions") || flags.has("devices");
  const showsRegions = flags.has("regions") || (!any && values.has("region"));
  const showsDevices = flags.has("devices") || (!any && (values.has("dev") || !showsRegions));
  const all = yield* daxDevices(io);
  const items: Json[] = [];
  for (const region of regionsOf(all)) {
    if (!isRegion(region, values.get("region"))) continue;
    const own = all.filter(
      (device) => device.region.path === region.path && isDevice(device, values.get("dev")),
    );
    const devices = showsDevices ? yield* devicesJson(io, own, listing) : [];
    if (showsRegions) items.push(yield* regionJson(io, region, devices, listing.human));
    else items.push(...devices);
  }
  io.out(formatJsonArray(items, listing.human));
  return 0;
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

/** Those that have memory; others are idle. */
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
