// daxctl list. User space counterpart: daxctl/list.c of ndctl.
import type { Sleeps } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import {
  errorLine,
  formatJsonArray,
  type Json,
  parseToolOptions,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { daxDevices, isDevice, isRegion, regionsOf } from "../libdaxctl/library.ts";
import { devicesJson, regionJson } from "../libdaxctl/listing.ts";

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
