// What the commands of ndctl are about: the machine's bus, and the devices that names and filters choose. User space
// counterpart: util/filter.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { Namespace, Nvdimm, NvdimmBus, Region } from "@hetmem/nvdimm";
import type { ProgramContext } from "../../../programs/machine-program.ts";
import {
  errorLine,
  type ToolArguments,
  type ToolOption,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { statusOf } from "../tool/run.ts";
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

/** The buses of the machine that fit: one at most. @see util_bus_filter() */
export function busesOf({ machine }: ProgramContext, wanted?: string): NvdimmBus[] {
  const bus = machine.devices?.nvdimm;
  return bus && fits(wanted, [bus.name, bus.provider, `${bus.id}`]) ? [bus] : [];
}

export function regionsOf(io: ProgramContext, filter: NdFilter): Region[] {
  return busesOf(io, filter.bus)
    .flatMap(({ regions }) => regions)
    .filter((region) => fits(filter.region, [region.name, `${region.id}`]))
    .filter(({ mappings }) => {
      const { dimm: wanted } = filter;
      return wanted === undefined || mappings.some(({ dimm }) => isDimm(dimm, wanted));
    })
    .filter(({ numaNode }) => fits(filter.numaNode, [`${numaNode}`]))
    .filter(() => filter.type === undefined || filter.type === "pmem")
    .filter(({ namespaces }) => {
      const { namespace: wanted } = filter;
      return wanted === undefined || [...namespaces.values()].some((each) => isNamespace(each, wanted));
    });
}

export function namespacesOf(io: ProgramContext, filter: NdFilter): Namespace[] {
  return regionsOf(io, filter)
    .flatMap(({ namespaces }) => [...namespaces.values()].sort((one, other) => one.id - other.id))
    .filter((namespace) => filter.namespace === undefined || isNamespace(namespace, filter.namespace))
    .filter((namespace) => {
      const { mode } = filter;
      return mode === undefined || MODES.get(mode.toLowerCase()) === modeOf(namespace);
    });
}

export function dimmsOf(io: ProgramContext, filter: NdFilter): Nvdimm[] {
  return busesOf(io, filter.bus)
    .flatMap(({ dimms }) => dimms)
    .filter((dimm) => filter.dimm === undefined || isDimm(dimm, filter.dimm));
}

export function filterOf({ values }: ToolArguments): NdFilter {
  return { bus: values.get("bus"), region: values.get("region") };
}

/** What a step found: counted, or passed over. */
export type NdStep = "done" | "skipped";

/** The namespace that a command names. @throws ToolUsageProblem without one, or with several */
export function namespaceOperand({ operands }: ToolArguments, usage: ToolUsage, verb: string): string {
  const [name, ...extra] = operands;
  const problems = extra.map((word) => errorLine(`unknown extra parameter "${word}"\n`));
  if (name === undefined) problems.push(errorLine(`specify a namespace to ${verb}, or "all"\n`));
  if (name === undefined || extra.length > 0) throw new ToolUsageProblem(usage, problems.join(""));
  return name;
}

/** Those that a command is about: of "all", not those that are there to be configured next. @see do_xaction_namespace() */
export function actedOn(io: ProgramContext, filter: NdFilter, name: string): Namespace[] {
  const namespaces = namespacesOf(io, filter);
  return name === "all"
    ? namespaces.filter(({ size, uuid }) => size > 0 || uuid !== undefined)
    : namespaces.filter((namespace) => namespace.name === name);
}

/**
 * Does a step to each device. The last one's refusal is told, unless a reason stands in its place.
 *
 * @param failed "error destroying namespaces": said when the last of them failed
 * @param end `missing`: what the status is when there is no device to do it to
 * @returns how many were done, and the status
 */
export function* forEach<T>(
  io: ProgramContext,
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

/** Whether a mode has that name, in capitals or not. */
export function isMode(name: string): boolean {
  return MODES.has(name.toLowerCase());
}

function modeOf({ claim }: Namespace): string {
  return claim ? { btt: "sector", pfn: "fsdax", dax: "devdax" }[claim.kind] : "raw";
}

function isNamespace({ name, id, region }: Namespace, wanted: string): boolean {
  return fits(wanted, [name, `${region.id}.${id}`]);
}

function isDimm({ name, id }: Nvdimm, wanted: string): boolean {
  return fits(wanted, [name, `${id}`]);
}

/** A filter is a list of names with spaces between, or all. */
function fits(wanted: string | undefined, names: readonly string[]): boolean {
  return wanted === undefined || wanted === "all" || wanted.split(" ").some((name) => names.includes(name));
}
