// ndctl destroy-, enable- and disable-namespace, enable- and disable-region, enable- and disable-dimm. User space
// counterparts: ndctl/namespace.c, region.c and dimm.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  destroyNamespace,
  disableDimm,
  disableNamespace,
  disableRegionByName,
  enableDimm,
  enableNamespace,
  enableRegionByName,
  type Namespace,
  type NdctlReport,
  type NvdimmBus,
  type Region,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "@hetmem/shell";
import {
  errorLine,
  parseToolOptions,
  type ToolOption,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { counted, type ToolCommand } from "../tool/run.ts";
import { PrintedReport } from "./report.ts";
import {
  actedOn,
  busesOf,
  dimmsOf,
  FILTER_OPTIONS,
  filterOf,
  forEach,
  forEachSilently,
  namespaceOperand,
  type NdStep,
  regionsOf,
} from "./select.ts";

const FORCE: ToolOption = { short: "f", long: "force", help: "destroy namespace even if currently active" };
const REGION_OPTIONS: readonly ToolOption[] = [
  {
    short: "b",
    long: "bus",
    value: "bus-id",
    help: "<region> must be on a bus with an id/provider of <bus-id>",
  },
  { short: "t", long: "type", value: "region-type", help: "<region> must be of the specified type" },
];
const DIMM_OPTIONS: readonly ToolOption[] = [
  {
    short: "b",
    long: "bus",
    value: "bus-id",
    help: "<nmem> must be on a bus with an id/provider of <bus-id>",
  },
  { short: "v", long: "verbose", help: "turn on debug" },
];

/** Verbs as they stand in messages. */
interface Words {
  readonly verb: string;
  readonly doing: string;
  readonly done: string;
}

export const destroyNamespaces: ToolCommand = namespaceCommand(
  { verb: "destroy", doing: "destroying", done: "destroyed" },
  function* (namespace, report, force) {
    return (yield* destroyNamespace(namespace, { force, report })) ? "done" : "skipped";
  },
);

export const enableNamespaces: ToolCommand = namespaceCommand(
  { verb: "enable", doing: "enabling", done: "enabled" },
  function* (namespace, report) {
    yield* enableNamespace(namespace, report);
    return "done";
  },
);

export const disableNamespaces: ToolCommand = namespaceCommand(
  { verb: "disable", doing: "disabling", done: "disabled" },
  function* (namespace, report) {
    yield* disableNamespace(namespace, report);
    return "done";
  },
);

export const enableRegions: ToolCommand = regionCommand("enable", enableRegionByName);

export const disableRegions: ToolCommand = regionCommand("disable", disableRegionByName);

export const enableDimms: ToolCommand = dimmCommand("enable", function* (bus, id, io) {
  const dimm = bus.dimm(id);
  if (dimm.driver !== undefined) return;
  try {
    yield* enableDimm(bus, dimm);
  } catch (error) {
    if (error instanceof KernelError) io.err(`libndctl: ndctl_dimm_enable: ${dimm.name}: failed to enable\n`);
    throw error;
  }
});

export const disableDimms: ToolCommand = dimmCommand("disable", function* (bus, id, io) {
  const dimm = bus.dimm(id);
  if (dimm.busy > 0) {
    io.err(`${dimm.name} is active, skipping...\n`);
    throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
  }
  yield* disableDimm(bus, dimm);
});

function namespaceCommand(
  { verb, doing, done }: Words,
  step: (namespace: Namespace, report: NdctlReport, force: boolean) => Sleeps<NdStep>,
): ToolCommand {
  const usage: ToolUsage = {
    line: `ndctl ${verb}-namespace <namespace> [<options>]`,
    options: verb === "destroy" ? [...FILTER_OPTIONS, FORCE] : FILTER_OPTIONS,
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    const name = namespaceOperand(given, usage, verb);
    const namespaces = actedOn(io, filterOf(given), name);
    const { flags } = given;
    const report = new PrintedReport(io, `${verb} namespace`, flags.has("verbose"));
    const missing = name === "all" ? "nothing" : "ENXIO";
    const result = yield* forEach(io, namespaces, `error ${doing} namespaces`, { missing, report }, (each) =>
      step(each, report, flags.has("force")),
    );
    io.err(`${done} ${counted(result.done, "namespace")}\n`);
    return result.status;
  };
}

function regionCommand(
  verb: "enable" | "disable",
  step: (region: Region, report: NdctlReport) => Sleeps<void>,
): ToolCommand {
  const usage: ToolUsage = { line: `ndctl ${verb}-region <region> [<options>]`, options: REGION_OPTIONS };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    const [name, ...extra] = given.operands;
    const type = given.values.get("type");
    const problems = extra.map((word) => `unknown extra parameter "${word}"`);
    if (name === undefined) problems.push(`specify a specific region id to act on, or "all"`);
    else if (extra.length === 0 && type !== undefined && type !== "pmem" && type !== "blk")
      problems.push(`unknown region type '${type}', should be 'pmem' or 'blk'`);
    if (problems.length > 0)
      throw new ToolUsageProblem(usage, problems.map((text) => errorLine(`${text}\n`)).join(""));
    const regions = regionsOf(io, { bus: given.values.get("bus"), type, region: name });
    const report = new PrintedReport(io, `${verb} region`, false);
    // Those that refuse aren't counted, and that is all that is said of them.
    const { done } = yield* forEachSilently(regions, (region) => step(region, report));
    io.err(`${verb}d ${counted(done, "region")}\n`);
    return 0;
  };
}

function dimmCommand(
  verb: "enable" | "disable",
  step: (bus: NvdimmBus, dimm: number, io: ProgramContext) => Sleeps<void>,
): ToolCommand {
  const usage: ToolUsage = {
    line: `ndctl ${verb}-dimm <nmem0> [<nmem1>..<nmemN>] [<options>]`,
    options: DIMM_OPTIONS,
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    if (given.operands.length === 0) throw new ToolUsageProblem(usage);
    const filter = { bus: given.values.get("bus"), dimm: given.operands.join(" ") };
    const [bus] = busesOf(io, filter.bus);
    const dimms = bus ? dimmsOf(io, filter) : [];
    const result = yield* forEachSilently(dimms, function* ({ id }) {
      if (bus) yield* step(bus, id, io);
    });
    io.err(`${verb}d ${result.done} nmem${result.done > 1 ? "s" : ""}\n`);
    return result.status;
  };
}
