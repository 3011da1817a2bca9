// ndctl destroy-, enable- and disable-namespace, enable- and disable-region, enable- and disable-dimm. User space
// counterparts: ndctl/namespace.c, region.c and dimm.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  errorLine,
  parseToolOptions,
  type ToolOption,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import type { NdctlContext } from "../libndctl/context.ts";
import { destroyNamespace } from "../libndctl/destroy-namespace.ts";
import { isInUse, type NdDimm, type NdNamespace, type NdRegion } from "../libndctl/devices.ts";
import {
  disableDimm,
  disableNamespace,
  disableRegion,
  enableDimm,
  enableNamespace,
  enableRegion,
} from "../libndctl/enable.ts";
import { counted } from "../tool.ts";
import { contextOf, type NdctlCommand, type NdctlIo } from "./machine.ts";
import { PrintedReport } from "./report.ts";
import {
  actedOn,
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

export const destroyNamespaces: NdctlCommand = namespaceCommand(
  { verb: "destroy", doing: "destroying", done: "destroyed" },
  function* (context, namespace, force) {
    return (yield* destroyNamespace(context, namespace, { force })) ? "done" : "skipped";
  },
);

export const enableNamespaces: NdctlCommand = namespaceCommand(
  { verb: "enable", doing: "enabling", done: "enabled" },
  function* (context, namespace) {
    yield* enableNamespace(context, namespace);
    return "done";
  },
);

export const disableNamespaces: NdctlCommand = namespaceCommand(
  { verb: "disable", doing: "disabling", done: "disabled" },
  function* (context, namespace) {
    yield* disableNamespace(context, namespace);
    return "done";
  },
);

export const enableRegions: NdctlCommand = regionCommand("enable", enableRegion);

export const disableRegions: NdctlCommand = regionCommand("disable", disableRegion);

export const enableDimms: NdctlCommand = dimmCommand("enable", enableDimm);

export const disableDimms: NdctlCommand = dimmCommand("disable", function* (context, dimm, io) {
  if (yield* isInUse(context, dimm)) {
    io.err(`${dimm.name} is active, skipping...\n`);
    throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
  }
  yield* disableDimm(context, dimm);
});

function namespaceCommand(
  { verb, doing, done }: Words,
  step: (context: NdctlContext, namespace: NdNamespace, force: boolean) => Sleeps<NdStep>,
): NdctlCommand {
  const usage: ToolUsage = {
    line: `ndctl ${verb}-namespace <namespace> [<options>]`,
    options: verb === "destroy" ? [...FILTER_OPTIONS, FORCE] : FILTER_OPTIONS,
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    const name = namespaceOperand(given, usage, verb);
    const { flags } = given;
    const report = new PrintedReport(io, `${verb} namespace`, flags.has("verbose"));
    const context = contextOf(io, report);
    const namespaces = yield* actedOn(context, filterOf(given), name);
    const missing = name === "all" ? "nothing" : "ENXIO";
    const result = yield* forEach(io, namespaces, `error ${doing} namespaces`, { missing, report }, (each) =>
      step(context, each, flags.has("force")),
    );
    io.err(`${done} ${counted(result.done, "namespace")}\n`);
    return result.status;
  };
}

function regionCommand(
  verb: "enable" | "disable",
  step: (context: NdctlContext, region: NdRegion) => Sleeps<void>,
): NdctlCommand {
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
    const context = contextOf(io, new PrintedReport(io, `${verb} region`, false));
    const regions = yield* regionsOf(context, { bus: given.values.get("bus"), type, region: name });
    // Regions that refuse aren't counted, and nothing else is said of them.
    const { done } = yield* forEachSilently(regions, (region) => step(context, region));
    io.err(`${verb}d ${counted(done, "region")}\n`);
    return 0;
  };
}

function dimmCommand(
  verb: "enable" | "disable",
  step: (context: NdctlContext, dimm: NdDimm, io: NdctlIo) => Sleeps<void>,
): NdctlCommand {
  const usage: ToolUsage = {
    line: `ndctl ${verb}-dimm <nmem0> [<nmem1>..<nmemN>] [<options>]`,
    options: DIMM_OPTIONS,
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    if (given.operands.length === 0) throw new ToolUsageProblem(usage);
    const filter = { bus: given.values.get("bus"), dimm: given.operands.join(" ") };
    const context = contextOf(io, new PrintedReport(io, `${verb} dimm`, false));
    const dimms = yield* dimmsOf(context, filter);
    const result = yield* forEachSilently(dimms, (dimm) => step(context, dimm, io));
    io.err(`${verb}d ${result.done} nmem${result.done > 1 ? "s" : ""}\n`);
    return result.status;
  };
}
