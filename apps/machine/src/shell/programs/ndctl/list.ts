// ndctl list: buses, modules, regions and namespaces, one inside the other. User space counterpart: ndctl/list.c and
// ndctl/json.c.
import type { Sleeps } from "@hetmem/kernel";
import {
  isActive,
  listBus,
  listDimm,
  listedNamespaces,
  listNamespace,
  type ListOptions,
  listRegion,
  type Namespace,
  type NvdimmBus,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "../../program.ts";
import { daxDevices } from "../daxctl/library.ts";
import { deviceJson, regionJson } from "../daxctl/list.ts";
import { formatJson, formatJsonArray, type Json, jsonHex, jsonSize } from "../tool/json.ts";
import { parseToolOptions, ToolUsageProblem, type ToolUsage } from "../tool/options.ts";
import { busesOf, dimmsOf, namespacesOf, type NdFilter, regionsOf } from "./select.ts";

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

/** Numbers of bytes, and numbers that are ids, by the names that listings give them. */
const SIZES: ReadonlySet<string> = new Set(["size", "available_size", "max_available_extent"]);
const IDS: ReadonlySet<string> = new Set(["handle", "phys_id", "iset_id", "offset", "length"]);

interface Shown {
  readonly buses: boolean;
  readonly dimms: boolean;
  readonly regions: boolean;
  readonly namespaces: boolean;
  readonly human: boolean;
  readonly options: ListOptions;
  /** Whether namespaces show the whole dax region. */
  readonly dax: boolean;
}

export function* list(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const { flags, values, operands } = parseToolOptions(args, USAGE);
  const [extra] = operands;
  if (extra !== undefined) throw new ToolUsageProblem(USAGE, `  Error: unknown parameter "${extra}"\n\n`);
  const filter: NdFilter = {
    bus: values.get("bus"),
    region: values.get("region"),
    dimm: values.get("dimm"),
    namespace: values.get("namespace"),
    mode: values.get("mode"),
    type: values.get("type"),
    numaNode: values.get("numa-node"),
  };
  const shown = chooseShown(flags, values);
  const top: { [key: string]: Json[] } = {};
  const buses: Json[] = [];
  for (const bus of busesOf(io, filter.bus)) {
    const inside = yield* busContents(io, bus, filter, shown);
    if (shown.buses) buses.push({ ...(listBus(bus) as Record<string, Json>), ...inside });
    else for (const [key, items] of Object.entries(inside)) (top[key] ??= []).push(...items);
  }
  if (shown.buses) io.out(formatJsonArray(buses, shown.human));
  else io.out(formatTop(top, shown));
  return 0;
}

/** A namespace as commands print it: with its dax region, or with the one device that it has of it. */
export function* namespaceJson(
  io: ProgramContext,
  namespace: Namespace,
  { options, human, dax }: Pick<Shown, "options" | "human" | "dax">,
): Sleeps<Json> {
  const region = yield* daxRegionJson(io, namespace, human);
  const listing = listNamespace(namespace, { ...options, daxRegion: () => region });
  const entries = Object.entries(forPeople(listing as Json, human)).map(([key, value]): [string, Json] => {
    if (key !== "daxregion") return [key, value as Json];
    // Its numbers are for people already.
    return dax ? [key, region as Json] : ["chardev", chardevOf(region)];
  });
  return Object.fromEntries(entries);
}

function chooseShown(flags: ReadonlySet<string>, values: ReadonlyMap<string, string>): Shown {
  const verbose = flags.has("verbose");
  const asked = ["buses", "dimms", "regions", "namespaces"].filter((flag) => flags.has(flag));
  const byFilter = (flag: string, option: string): boolean =>
    flags.has(flag) || (asked.length === 0 && values.has(option));
  const [buses, dimms, regions] = [
    byFilter("buses", "bus"),
    byFilter("dimms", "dimm"),
    byFilter("regions", "region"),
  ];
  return {
    buses,
    dimms,
    regions,
    namespaces:
      verbose || byFilter("namespaces", "namespace") || values.has("mode") || !(buses || dimms || regions),
    human: flags.has("human"),
    options: {
      verbose,
      mediaErrors: verbose || flags.has("media-errors"),
      dimms,
      capabilities: flags.has("capabilities"),
      idle: flags.has("idle"),
      configured: flags.has("configured"),
    },
    dax: verbose || flags.has("device-dax"),
  };
}

function* busContents(
  io: ProgramContext,
  bus: NvdimmBus,
  filter: NdFilter,
  shown: Shown,
): Sleeps<{ [key: string]: Json[] }> {
  const { options, human } = shown;
  const contents: { [key: string]: Json[] } = {};
  if (shown.dimms) {
    const dimms = dimmsOf(io, filter).filter(({ driver }) => driver !== undefined || options.idle);
    if (dimms.length > 0) contents["dimms"] = dimms.map((dimm) => forPeople(listDimm(dimm) as Json, human));
  }
  const wanted = new Set(namespacesOf(io, filter));
  const regions: Json[] = [];
  const alone: Json[] = [];
  for (const region of regionsOf(io, filter).filter((each) => each.bus === bus)) {
    const namespaces: Json[] = [];
    if (shown.namespaces)
      for (const namespace of listedNamespaces(region, options))
        if (wanted.has(namespace)) namespaces.push(yield* namespaceJson(io, namespace, shown));
    alone.push(...namespaces);
    if (!shown.regions || (region.driver === undefined && !options.idle)) continue;
    const listing = forPeople(listRegion(region, options) as Json, human) as Record<string, Json>;
    regions.push(namespaces.length > 0 ? { ...listing, namespaces } : listing);
  }
  if (regions.length > 0) contents["regions"] = regions;
  else if (alone.length > 0) contents["namespaces"] = alone;
  return contents;
}

/** One kind of device is a list; several are an object of lists. */
function formatTop(top: Readonly<Record<string, Json[]>>, { namespaces, human }: Shown): string {
  const kinds = Object.keys(top);
  const nested =
    namespaces && (top["regions"] ?? []).some((region) => Object.hasOwn(region as object, "namespaces"));
  const [only] = kinds;
  if (only === undefined) return "";
  return kinds.length === 1 && !nested ? formatJsonArray(top[only] ?? [], human) : `${formatJson(top)}\n`;
}

function* daxRegionJson(
  io: ProgramContext,
  namespace: Namespace,
  human: boolean,
): Sleeps<{ [key: string]: Json } | undefined> {
  const { claim } = namespace;
  if (!claim?.dax || !isActive(namespace)) return undefined;
  const own = (yield* daxDevices(io)).filter(({ region }) => region.path === `/sys${claim.path}`);
  const [first] = own;
  if (!first) return undefined;
  const devices: Json[] = [];
  for (const device of own) devices.push(yield* deviceJson(io, device, { human }));
  const listing = (yield* regionJson(io, first.region, devices, human)) as { [key: string]: Json };
  return Object.fromEntries(Object.entries(listing).filter(([key]) => key !== "path"));
}

function chardevOf(region: { [key: string]: Json } | undefined): Json {
  const [device] = (region?.["devices"] ?? []) as readonly { readonly chardev: string }[];
  return device?.chardev ?? "";
}

/** Sizes and ids for people, wherever they stand. */
function forPeople(value: Json, human: boolean, key = ""): Json {
  if (typeof value === "number" || typeof value === "bigint") {
    if (SIZES.has(key)) return jsonSize(Number(value), human);
    return IDS.has(key) ? jsonHex(value, human) : value;
  }
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item: Json) => forPeople(item, human, key));
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) =>
      item === undefined ? [] : [[name, forPeople(item, human, name)]],
    ),
  );
}
