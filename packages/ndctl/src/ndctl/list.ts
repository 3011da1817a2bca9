// ndctl list: buses, modules, regions and namespaces, one inside the other. User space counterpart: ndctl/list.c and
// ndctl/json.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  errorLine,
  formatJson,
  formatJsonArray,
  type Json,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { daxDevices } from "../libdaxctl/library.ts";
import { devicesJson, regionJson } from "../libdaxctl/listing.ts";
import type { NdctlContext } from "../libndctl/context.ts";
import {
  holderOf,
  isActive,
  isEnabled,
  mappingsOf,
  type NdBus,
  type NdDimm,
  type NdNamespace,
} from "../libndctl/devices.ts";
import {
  listBus,
  listDimm,
  listedNamespaces,
  type Listing,
  listNamespace,
  type ListOptions,
  listRegion,
} from "../libndctl/listing.ts";
import { SILENT } from "../libndctl/report.ts";
import { statusOf } from "../tool.ts";
import { contextOf, type NdctlIo } from "./machine.ts";
import { busesOf, dimmsOf, isMode, namespacesOf, type NdFilter, regionsOf } from "./select.ts";

const USAGE: ToolUsage = {
  line: "ndctl list [<options>]",
  options: [
    { short: "b", long: "bus", value: "bus-id", help: "filter by bus" },
    { short: "r", long: "region", value: "region-id", help: "filter by region" },
    { short: "d", long: "dimm", value: "dimm-id", help: "filter by dimm" },
    { short: "n", long: "namespace", value: "namespace-id", help: "filter by namespace id" },
    { short: "m", long: "mode", value: "namespace-mode", help: "filter by namespace mode" },
    { short: "t", long: "type", value: "region-type", help: "filter by region-type" },
    { short: "U", long: "numa-node", value: "numa node", help: "filter by numa node" },
    { short: "B", long: "buses", help: "include bus info" },
    { short: "D", long: "dimms", help: "include dimm info" },
    { short: "F", long: "firmware", help: "include firmware info" },
    { short: "H", long: "health", help: "include dimm health" },
    { short: "R", long: "regions", help: "include region info" },
    { short: "N", long: "namespaces", help: "include namespace info (default)" },
    { short: "X", long: "device-dax", help: "include device-dax info" },
    { short: "C", long: "capabilities", help: "include region capability info" },
    { short: "i", long: "idle", help: "include idle devices" },
    { short: "c", long: "configured", help: "include configured namespaces, disabled or not" },
    { short: "M", long: "media-errors", help: "include media errors" },
    { short: "u", long: "human", help: "use human friendly number formats " },
    { short: "v", long: "verbose", help: "increase output detail" },
  ],
};

/** Kinds of devices that can be listed. */
const KINDS = ["buses", "dimms", "regions", "namespaces"] as const;
interface Shown {
  readonly buses: boolean;
  readonly dimms: boolean;
  readonly regions: boolean;
  readonly namespaces: boolean;
  readonly options: ListOptions;
  /** Whether namespaces show the whole dax region. */
  readonly dax: boolean;
}

export function* list(io: NdctlIo, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, USAGE);
  const { flags, values, operands } = given;
  const unknown = operands.map((word) => errorLine(`unknown parameter "${word}"\n`)).join("");
  if (unknown !== "") throw new ToolUsageProblem(USAGE, unknown);
  const kinds = KINDS.some((kind) => flags.has(kind));
  const filter: NdFilter = {
    bus: values.get("bus"),
    region: values.get("region"),
    dimm: values.get("dimm"),
    namespace: values.get("namespace"),
    mode: values.get("mode") ?? (flags.has("device-dax") && !kinds ? "dax" : undefined),
    type: values.get("type"),
    numaNode: values.get("numa-node"),
  };
  const wrong = wrongFilter(filter);
  if (wrong !== undefined) {
    io.err(errorLine(`${wrong}\n`));
    return statusOf(new KernelError("EINVAL", wrong));
  }
  const context = contextOf(io, SILENT);
  const shown = yield* chooseShown(context, filter, given);
  const human = flags.has("human");
  const top: { [key: string]: Json[] } = {};
  const buses: Json[] = [];
  for (const bus of yield* listedBuses(context, filter)) {
    const inside = yield* busContents(context, bus, filter, shown);
    if (shown.buses) buses.push({ ...(yield* listBus(context, bus)), ...inside });
    else for (const [key, items] of Object.entries(inside)) (top[key] ??= []).push(...items);
  }
  io.out(shown.buses ? formatJsonArray(buses, human) : formatTop(top, shown));
  return 0;
}

/** A namespace as commands print it: with its dax region, or with the one device that it has of it. */
export function* namespaceJson(
  context: NdctlContext,
  namespace: NdNamespace,
  { options, dax }: Pick<Shown, "options" | "dax">,
): Sleeps<Json> {
  const region = yield* daxRegionJson(context, namespace, options);
  const shown: Listing = region ? (dax ? { daxregion: region } : { chardev: chardevOf(region) }) : {};
  return yield* listNamespace(context, namespace, options, shown);
}

/** @see cmd_list() */
function* chooseShown(
  context: NdctlContext,
  filter: NdFilter,
  { flags, values, counts }: ToolArguments,
): Sleeps<Shown> {
  const level = counts.get("verbose") ?? 0;
  const verbose = level >= 1;
  const asked = KINDS.some((kind) => flags.has(kind));
  const isShown = (flag: string, option: string): boolean =>
    flags.has(flag) || (!asked && values.has(option)) || level >= 2;
  const [buses, dimms, regions] = [
    isShown("buses", "bus"),
    isShown("dimms", "dimm"),
    isShown("regions", "region"),
  ];
  return {
    buses,
    dimms,
    regions,
    namespaces: flags.has("namespaces") || verbose || !(buses || dimms || regions),
    options: {
      human: flags.has("human"),
      verbose,
      mediaErrors: verbose || flags.has("media-errors"),
      capabilities: flags.has("capabilities") || level >= 3,
      idle: flags.has("idle") || level >= 3,
      configured: flags.has("configured"),
      ...(dimms && { dimms: yield* dimmsOf(context, { dimm: filter.dimm }) }),
    },
    dax: verbose || flags.has("device-dax"),
  };
}

/** A filter that no device can fit. @see ndctl_filter_walk() */
function wrongFilter({ type, mode, numaNode }: NdFilter): string | undefined {
  if (type !== undefined && type !== "pmem" && type !== "blk")
    return `unknown type "${type}" must be "pmem" or "blk"`;
  if (mode !== undefined && !isMode(mode)) return `invalid mode: '${mode}'`;
  const isNumber =
    numaNode === undefined || numaNode === "all" || /^\s*[+-]?(0x[\da-f]+|\d+)$/i.test(numaNode);
  return isNumber ? undefined : `invalid numa_node: '${numaNode}'`;
}

/** A bus with nothing that has the names asked for is passed over. */
function* listedBuses(context: NdctlContext, { bus, region, namespace, dimm }: NdFilter): Sleeps<NdBus[]> {
  const misses = (wanted: string | undefined, devices: readonly unknown[]): boolean =>
    wanted !== undefined && wanted !== "all" && devices.length === 0;
  if (misses(dimm, yield* dimmsOf(context, { dimm }))) return [];
  if (misses(region, yield* regionsOf(context, { region }))) return [];
  if (misses(namespace, yield* namespacesOf(context, { namespace }))) return [];
  return yield* busesOf(context, bus);
}

/** The modules that are asked for, by themselves or by regions that they are part of. @see util_filter_walk() */
function* listedDimms(context: NdctlContext, filter: NdFilter): Sleeps<NdDimm[]> {
  const { region, namespace, numaNode } = filter;
  const parts = [{ region }, { namespace }, { numaNode }].filter((part) =>
    Object.values(part).some((wanted) => wanted !== undefined && wanted !== "all"),
  );
  let dimms = yield* dimmsOf(context, filter);
  for (const part of parts) {
    const members = new Set<string>();
    for (const each of yield* regionsOf(context, part))
      for (const { dimm } of yield* mappingsOf(context, each)) members.add(dimm.name);
    dimms = dimms.filter(({ name }) => members.has(name));
  }
  return dimms;
}

function* busContents(
  context: NdctlContext,
  bus: NdBus,
  filter: NdFilter,
  shown: Shown,
): Sleeps<{ [key: string]: Json[] }> {
  const { options } = shown;
  const includesDisabled = options.idle || options.configured;
  const contents: { [key: string]: Json[] } = {};
  if (shown.dimms) {
    const dimms: Json[] = [];
    for (const dimm of yield* listedDimms(context, filter))
      if (includesDisabled || (yield* isEnabled(context, dimm)))
        dimms.push(yield* listDimm(context, dimm, options));
    if (dimms.length > 0) contents["dimms"] = dimms;
  }
  const wanted = new Set((yield* namespacesOf(context, filter)).map(({ name }) => name));
  const regions: Json[] = [];
  const alone: Json[] = [];
  for (const region of yield* regionsOf(context, filter)) {
    if (region.bus.path !== bus.path) continue;
    const namespaces: Json[] = [];
    if (shown.namespaces)
      for (const namespace of yield* listedNamespaces(context, region, options))
        if (wanted.has(namespace.name)) namespaces.push(yield* namespaceJson(context, namespace, shown));
    alone.push(...namespaces);
    if (!shown.regions || !(includesDisabled || (yield* isEnabled(context, region)))) continue;
    const listing = yield* listRegion(context, region, options);
    regions.push(namespaces.length > 0 ? { ...listing, namespaces } : listing);
  }
  if (regions.length > 0) contents["regions"] = regions;
  else if (alone.length > 0) contents["namespaces"] = alone;
  return contents;
}

/** One kind of device is a list; several are an object of lists. */
function formatTop(top: Readonly<Record<string, Json[]>>, { namespaces, options }: Shown): string {
  const kinds = Object.keys(top);
  // The program looks at the list that it began last: namespaces of the last region.
  const last = top["regions"]?.at(-1);
  const nested = namespaces && last !== undefined && Object.hasOwn(last as object, "namespaces");
  const [only] = kinds;
  if (only === undefined) return "";
  return kinds.length === 1 && !nested
    ? formatJsonArray(top[only] ?? [], options.human === true)
    : `${formatJson(top)}\n`;
}

/** The dax region of an enabled namespace in devdax mode. @see ndctl_dax_get_daxctl_region() */
function* daxRegionJson(
  context: NdctlContext,
  namespace: NdNamespace,
  { human = false, idle = false, configured = false }: ListOptions,
): Sleeps<Listing | undefined> {
  const claim = yield* holderOf(context, namespace);
  if (claim?.kind !== "dax" || !(yield* isActive(context, namespace))) return undefined;
  const own = (yield* daxDevices(context)).filter(({ region }) => region.path === claim.path);
  const [first] = own;
  if (!first) return undefined;
  const devices = yield* devicesJson(context, own, { human, idle: idle || configured });
  const { path: _path, ...region } = yield* regionJson(context, first.region, devices, human);
  return region;
}

function chardevOf({ devices }: Listing): Json {
  const [device] = (devices ?? []) as readonly { readonly chardev: string }[];
  return device?.chardev ?? "";
}
