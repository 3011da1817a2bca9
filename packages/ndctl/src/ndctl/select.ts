// The devices that a command of ndctl is about, by names and filters. User space counterpart: ndctl/filter.c, util_filter_walk().
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import {
  errorLine,
  type ToolArguments,
  type ToolOption,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import {
  busesIn,
  dimmsIn,
  mappingsOf,
  type NdBus,
  type NdDimm,
  namespacesIn,
  type NdNamespace,
  type NdRegion,
  regionsIn,
} from "../libndctl/devices.ts";
import { attribute, numberIn, type TreeContext } from "../sysfs/attributes.ts";
import { statusOf } from "../tool.ts";
import type { NdctlIo } from "./machine.ts";
import type { PrintedReport } from "./report.ts";

/** Names on the command line and values of filter options. */
export interface NdFilter {
  readonly bus?: string | undefined;
  readonly region?: string | undefined;
  readonly namespace?: string | undefined;
  readonly dimm?: string | undefined;
  readonly mode?: string | undefined;
  readonly type?: string | undefined;
  readonly numaNode?: string | undefined;
}

export const FILTER_OPTIONS: readonly ToolOption[] = [
  {
    short: "b",
    long: "bus",
    value: "bus-id",
    help: "limit namespace to a bus with an id or provider of <bus-id>",
  },
  {
    short: "r",
    long: "region",
    value: "region-id",
    help: "limit namespace to a region with an id or name of <region-id>",
  },
  { short: "v", long: "verbose", help: "emit extra debug messages to stderr" },
];

/** The buses that fit. @see util_bus_filter() */
export function* busesOf(context: TreeContext, wanted?: string): Sleeps<NdBus[]> {
  return yield* chosen(busesIn(context), function* (bus) {
    const provider = (yield* attribute(context, `${bus.path}/provider`)) ?? "";
    return fits(wanted, [bus.name, provider, `${bus.id}`]);
  });
}

export function* regionsOf(context: TreeContext, filter: NdFilter): Sleeps<NdRegion[]> {
  const regions = (yield* busesOf(context, filter.bus)).flatMap((bus) => regionsIn(context, bus));
  return yield* chosen(regions, (region) => isChosenRegion(context, region, filter));
}

function* isChosenRegion(
  context: TreeContext,
  region: NdRegion,
  { region: name, dimm, numaNode, type, namespace }: NdFilter,
): Sleeps<boolean> {
  if (!fits(name, [region.name, `${region.id}`]) || !(type === undefined || type === "pmem")) return false;
  if (dimm !== undefined) {
    const mappings = yield* mappingsOf(context, region);
    if (!mappings.some((mapping) => isDimm(mapping.dimm, dimm))) return false;
  }
  if (numaNode !== undefined) {
    const node = yield* numberIn(context, `${region.path}/numa_node`);
    if (!fits(numaNode, [`${node}`])) return false;
  }
  return (
    namespace === undefined || namespacesIn(context, region).some((each) => isNamespace(each, namespace))
  );
}

export function* namespacesOf(context: TreeContext, filter: NdFilter): Sleeps<NdNamespace[]> {
  const { namespace: name, mode } = filter;
  const namespaces = (yield* regionsOf(context, filter)).flatMap((region) => namespacesIn(context, region));
  return yield* chosen(namespaces, function* (namespace) {
    if (name !== undefined && !isNamespace(namespace, name)) return false;
    return (
      mode === undefined ||
      MODES.get(mode.toLowerCase()) ===
        FILE_MODES.get((yield* attribute(context, `${namespace.path}/mode`)) ?? "")
    );
  });
}

export function* dimmsOf(context: TreeContext, { bus, dimm: name }: NdFilter): Sleeps<NdDimm[]> {
  const dimms = (yield* busesOf(context, bus)).flatMap((each) => dimmsIn(context, each));
  return dimms.filter((dimm) => name === undefined || isDimm(dimm, name));
}

export function filterOf({ values }: ToolArguments): NdFilter {
  return { bus: values.get("bus"), region: values.get("region") };
}

/** The outcome of a step: counted, or passed over. */
export type NdStep = "done" | "skipped";

/** The namespace that a command names. @throws ToolUsageProblem without one, or with several */
export function namespaceOperand({ operands }: ToolArguments, usage: ToolUsage, verb: string): string {
  const [name, ...extra] = operands;
  const problems = extra.map((word) => errorLine(`unknown extra parameter "${word}"\n`));
  if (name === undefined) problems.push(errorLine(`specify a namespace to ${verb}, or "all"\n`));
  if (name === undefined || extra.length > 0) throw new ToolUsageProblem(usage, problems.join(""));
  return name;
}

/** The namespaces that a command is about: of "all", not those that are there to be configured next. @see do_xaction_namespace() */
export function* actedOn(context: TreeContext, filter: NdFilter, name: string): Sleeps<NdNamespace[]> {
  const namespaces = yield* namespacesOf(context, filter);
  if (name !== "all") return namespaces.filter((namespace) => namespace.name === name);
  return yield* chosen(namespaces, function* ({ path }) {
    const size = (yield* numberIn(context, `${path}/size`)) ?? 0;
    return size > 0 || ((yield* attribute(context, `${path}/uuid`)) ?? "") !== "";
  });
}

/**
 * Does a step to each device. The last one's refusal is told, unless a reason stands in its place.
 *
 * @param failed "error destroying namespaces": said when the last of them failed
 * @param end `missing`: the status when there is no device to do it to
 * @returns how many were done, and the status
 */
export function* forEach<T>(
  io: NdctlIo,
  devices: readonly T[],
  failed: string,
  { missing, report }: { readonly missing: "ENXIO" | "nothing"; readonly report?: PrintedReport },
  step: (device: T) => Sleeps<NdStep>,
): Sleeps<{ done: number; status: number }> {
  let done = 0;
  let error = missing === "ENXIO" ? new KernelError("ENXIO", "no device of that name is there") : undefined;
  for (const device of devices) {
    try {
      if ((yield* step(device)) === "done") done++;
      error = undefined;
    } catch (refusal) {
      if (!(refusal instanceof KernelError)) throw refusal;
      error = refusal;
    }
  }
  if (error && !report?.failures) io.err(`${failed}: ${strerror(error.errno)}\n`);
  return { done, status: error ? statusOf(error) : 0 };
}

/**
 * Does a step to each device, and says nothing of those that refuse: their step does.
 *
 * @returns how many were done, and a status: 1 when there were some, and all of them refused
 * @see dimm_action() in ndctl/dimm.c
 */
export function* forEachSilently<T>(
  devices: readonly T[],
  step: (device: T) => Sleeps<void>,
): Sleeps<{ done: number; status: number }> {
  let done = 0;
  let refused = 0;
  for (const device of devices) {
    try {
      yield* step(device);
      done++;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      refused++;
    }
  }
  return { done, status: done === 0 && refused > 0 ? 1 : 0 };
}

/** Modes by all their names. @see util_nsmode() */
const MODES: ReadonlyMap<string, string> = new Map([
  ["memory", "fsdax"],
  ["fsdax", "fsdax"],
  ["sector", "sector"],
  ["safe", "sector"],
  ["dax", "devdax"],
  ["devdax", "devdax"],
  ["raw", "raw"],
]);

/** Whether a mode has that name, in upper or lower case. */
export function isMode(name: string): boolean {
  return MODES.has(name.toLowerCase());
}

/** Modes by the names that the kernel gives them. @see ndctl_namespace_get_mode() */
const FILE_MODES: ReadonlyMap<string, string> = new Map([
  ["memory", "fsdax"],
  ["safe", "sector"],
  ["dax", "devdax"],
  ["raw", "raw"],
]);

function isNamespace({ name, id, region }: NdNamespace, wanted: string): boolean {
  return fits(wanted, [name, `${region.id}.${id}`]);
}

function isDimm({ name, id }: NdDimm, wanted: string): boolean {
  return fits(wanted, [name, `${id}`]);
}

function* chosen<T>(devices: readonly T[], isChosen: (device: T) => Sleeps<boolean>): Sleeps<T[]> {
  const found: T[] = [];
  for (const device of devices) if (yield* isChosen(device)) found.push(device);
  return found;
}

/** A filter is a list of names with spaces between, or all. */
function fits(wanted: string | undefined, names: readonly string[]): boolean {
  return wanted === undefined || wanted === "all" || wanted.split(" ").some((name) => names.includes(name));
}
