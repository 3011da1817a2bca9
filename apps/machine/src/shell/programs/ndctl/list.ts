// ndctl list: buses, modules, regions and namespaces, one inside the other. User space counterpart: ndctl/list.c and
// ndctl/json.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  isActive,
  listBus,
  listDimm,
  listedNamespaces,
  listNamespace,
  type ListOptions,
  listRegion,
  type Namespace,
  type Nvdimm,
  type NvdimmBus,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "@hetmem/shell";
import { daxDevices } from "../daxctl/library.ts";
import { type DaxListing, devicesJson, regionJson } from "../daxctl/list.ts";
import {
  errorLine,
  formatJson,
  formatJsonArray,
  type Json,
  jsonHex,
  jsonSize,
  parseToolOptions,
  type ToolArguments,
  type ToolUsage,
  ToolUsageProblem,
} from "@hetmem/shell/tool";
import { statusOf } from "../tool/run.ts";
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

/** What can be listed. */
const KINDS = ["buses", "dimms", "regions", "namespaces"] as const;
/** Numbers of bytes, and numbers that are ids, by the names that listings give them. */
const SIZES: ReadonlySet<string> = new Set(["size", "available_size", "max_available_extent"]);
const IDS: ReadonlySet<string> = new Set(["handle", "phys_id", "iset_id"]);

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
  const shown = chooseShown(io, filter, given);
  const top: { [key: string]: Json[] } = {};
  const buses: Json[] = [];
  for (const bus of listedBuses(io, filter)) {
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
  const idle = options.idle === true || options.configured === true;
  const region = yield* daxRegionJson(io, namespace, { human, idle });
  const listing = listNamespace(namespace, { ...options, daxRegion: () => region });
  const entries = Object.entries(forPeople(listing as Json, human)).map(([key, value]): [string, Json] => {
    if (key !== "daxregion") return [key, value as Json];
    // Its numbers are for people already.
    return dax ? [key, region as Json] : ["chardev", chardevOf(region)];
  });
  return Object.fromEntries(entries);
}

/** @see cmd_list() */
function chooseShown(io: ProgramContext, filter: NdFilter, { flags, values, counts }: ToolArguments): Shown {
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
    human: flags.has("human"),
    options: {
      verbose,
      mediaErrors: verbose || flags.has("media-errors"),
      capabilities: flags.has("capabilities") || level >= 3,
      idle: flags.has("idle") || level >= 3,
      configured: flags.has("configured"),
      ...(dimms && { dimms: dimmsOf(io, { dimm: filter.dimm }) }),
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
function listedBuses(io: ProgramContext, { bus, region, namespace, dimm }: NdFilter): NvdimmBus[] {
  const found = (wanted: string | undefined, devices: readonly unknown[]): boolean =>
    wanted === undefined || wanted === "all" || devices.length > 0;
  return busesOf(io, bus).filter(
    () =>
      found(dimm, dimmsOf(io, { dimm })) &&
      found(region, regionsOf(io, { region })) &&
      found(namespace, namespacesOf(io, { namespace })),
  );
}

/** The modules that are asked for, by themselves or by what they are part of. @see ndctl_filter_walk() */
function listedDimms(io: ProgramContext, filter: NdFilter): Nvdimm[] {
  const { region, namespace, numaNode } = filter;
  const parts = [{ region }, { namespace }, { numaNode }].filter((part) =>
    Object.values(part).some((wanted) => wanted !== undefined && wanted !== "all"),
  );
  return dimmsOf(io, filter).filter((dimm) =>
    parts.every((part) =>
      regionsOf(io, part).some(({ mappings }) => mappings.some((mapping) => mapping.dimm === dimm)),
    ),
  );
}

function* busContents(
  io: ProgramContext,
  bus: NvdimmBus,
  filter: NdFilter,
  shown: Shown,
): Sleeps<{ [key: string]: Json[] }> {
  const { options, human } = shown;
  const includesDisabled = options.idle || options.configured;
  const contents: { [key: string]: Json[] } = {};
  if (shown.dimms) {
    const dimms = listedDimms(io, filter).filter(({ driver }) => driver !== undefined || includesDisabled);
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
    if (!shown.regions || (region.driver === undefined && !includesDisabled)) continue;
    const listing = forPeople(listRegion(region, options) as Json, human) as Record<string, Json>;
    if (typeof listing["align"] === "number") listing["align"] = jsonSize(listing["align"], human);
    regions.push(namespaces.length > 0 ? { ...listing, namespaces } : listing);
  }
  if (regions.length > 0) contents["regions"] = regions;
  else if (alone.length > 0) contents["namespaces"] = alone;
  return contents;
}

/** One kind of device is a list; several are an object of lists. */
function formatTop(top: Readonly<Record<string, Json[]>>, { namespaces, human }: Shown): string {
  const kinds = Object.keys(top);
  // The program looks at the list that it began last: namespaces of the last region.
  const last = top["regions"]?.at(-1);
  const nested = namespaces && last !== undefined && Object.hasOwn(last as object, "namespaces");
  const [only] = kinds;
  if (only === undefined) return "";
  return kinds.length === 1 && !nested ? formatJsonArray(top[only] ?? [], human) : `${formatJson(top)}\n`;
}

function* daxRegionJson(
  io: ProgramContext,
  namespace: Namespace,
  listing: DaxListing,
): Sleeps<{ [key: string]: Json } | undefined> {
  const { claim } = namespace;
  if (!claim?.dax || !isActive(namespace)) return undefined;
  const own = (yield* daxDevices(io)).filter(({ region }) => region.path === `/sys${claim.path}`);
  const [first] = own;
  if (!first) return undefined;
  const devices = yield* devicesJson(io, own, listing);
  const region = (yield* regionJson(io, first.region, devices, listing.human)) as { [key: string]: Json };
  return Object.fromEntries(Object.entries(region).filter(([key]) => key !== "path"));
}

function chardevOf(region: { [key: string]: Json } | undefined): Json {
  const [device] = (region?.["devices"] ?? []) as readonly { readonly chardev: string }[];
  return device?.chardev ?? "";
}

/** Sizes and ids for people, wherever they stand. */
function forPeople(value: Json, human: boolean, key = "", parent = ""): Json {
  if (typeof value === "number" || typeof value === "bigint") {
    if (SIZES.has(key)) return jsonSize(Number(value), human);
    const isId = IDS.has(key) || (parent === "mappings" && (key === "offset" || key === "length"));
    return isId ? jsonHex(value, human) : value;
  }
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item: Json) => forPeople(item, human, key));
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) =>
      item === undefined ? [] : [[name, forPeople(item, human, name, key)]],
    ),
  );
}
