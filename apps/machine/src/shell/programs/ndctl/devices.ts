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
  isActive,
  type Namespace,
  type NvdimmBus,
  type Region,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "../../program.ts";
import { parseToolOptions, type ToolOption, ToolUsageProblem, type ToolUsage } from "../tool/options.ts";
import { counted, type ToolCommand } from "../tool/run.ts";
import {
  busesOf,
  dimmsOf,
  FILTER_OPTIONS,
  filterOf,
  forEach,
  forEachSilently,
  namespacesOf,
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
  function* (io, namespace, force) {
    if (isActive(namespace) && !force) {
      io.err(`  Error: ${namespace.name} is active, specify --force for re-configuration\n\n`);
      throw new KernelError("EBUSY", `${namespace.name} is active`);
    }
    // One that was never given a size is there to be configured next: there is nothing to destroy.
    const isSeed = namespace.size === 0;
    yield* destroyNamespace(namespace, { force });
    return isSeed ? "skipped" : "done";
  },
);

export const enableNamespaces: ToolCommand = namespaceCommand(
  { verb: "enable", doing: "enabling", done: "enabled" },
  function* (_io, namespace) {
    if (namespace.size === 0 && !isActive(namespace)) return "skipped";
    yield* enableNamespace(namespace);
    return "done";
  },
);

export const disableNamespaces: ToolCommand = namespaceCommand(
  { verb: "disable", doing: "disabling", done: "disabled" },
  function* (_io, namespace) {
    return (yield* disableNamespace(namespace)) ? "done" : "skipped";
  },
);

export const enableRegions: ToolCommand = regionCommand("enable", function* (region) {
  yield* enableRegionByName(region);
});

export const disableRegions: ToolCommand = regionCommand("disable", function* (region) {
  yield* disableRegionByName(region);
});

export const enableDimms: ToolCommand = dimmCommand("enable", function* (bus, id) {
  yield* enableDimm(bus, bus.dimm(id));
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
  step: (io: ProgramContext, namespace: Namespace, force: boolean) => Sleeps<NdStep>,
): ToolCommand {
  const usage: ToolUsage = {
    line: `ndctl ${verb}-namespace <namespace> [<options>]`,
    options: verb === "destroy" ? [...FILTER_OPTIONS, FORCE] : FILTER_OPTIONS,
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    const [name] = given.operands;
    if (name === undefined)
      throw new ToolUsageProblem(usage, `  Error: specify a namespace to ${verb}, or "all"\n\n`);
    const namespaces = namespacesOf(io, { ...filterOf(given), namespace: name });
    const force = given.flags.has("force");
    const missing = name === "all" ? "nothing" : "ENXIO";
    const result = yield* forEach(io, namespaces, `error ${doing} namespaces`, missing, (namespace) =>
      step(io, namespace, force),
    );
    io.err(`${done} ${counted(result.done, "namespace")}\n`);
    return result.status;
  };
}

function regionCommand(verb: "enable" | "disable", step: (region: Region) => Sleeps<void>): ToolCommand {
  const usage: ToolUsage = { line: `ndctl ${verb}-region <region> [<options>]`, options: REGION_OPTIONS };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    const [name] = given.operands;
    if (name === undefined)
      throw new ToolUsageProblem(usage, `  Error: specify a specific region id to act on, or "all"\n\n`);
    const regions = regionsOf(io, {
      bus: given.values.get("bus"),
      type: given.values.get("type"),
      region: name,
    });
    // Those that refuse aren't counted, and that is all that is said of them.
    const { done } = yield* forEachSilently(regions, step);
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
