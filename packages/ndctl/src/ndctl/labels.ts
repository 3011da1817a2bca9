// ndctl read-labels, zero-labels, init-labels and check-labels: the label areas of modules. User space counterpart:
// ndctl/dimm.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  formatJsonArray,
  type Json,
  jsonHex,
  jsonSize,
  parseSize,
  parseToolOptions,
  type ToolArguments,
  type ToolOption,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { textOf } from "@hetmem/vfs";
import type { NdctlContext } from "../libndctl/context.ts";
import { isInUse, type NdDimm } from "../libndctl/devices.ts";
import {
  hasLabelIndex,
  initLabels,
  type LabelListing,
  listLabels,
  readLabels,
  zeroLabels,
} from "../libndctl/labels.ts";
import { contextOf, type NdctlCommand, type NdctlIo } from "./machine.ts";
import { PrintedReport } from "./report.ts";
import { dimmsOf, forEachSilently } from "./select.ts";

/** Words of the last line: the action, and the thing that is counted. */
type Done = readonly [verb: string, what: string];

const BASE: readonly ToolOption[] = [
  {
    short: "b",
    long: "bus",
    value: "bus-id",
    help: "<nmem> must be on a bus with an id/provider of <bus-id>",
  },
  { short: "v", long: "verbose", help: "turn on debug" },
];
const SPAN: readonly ToolOption[] = [
  { short: "s", long: "size", value: "n", help: "number of label bytes to operate" },
  { short: "O", long: "offset", value: "n", help: "offset into the label area to start operation" },
];
const READ: ToolUsage = {
  line: "ndctl read-labels <nmem0> [<nmem1>..<nmemN>] [-o <filename>]",
  options: [
    ...BASE,
    ...SPAN,
    { short: "o", long: "output", value: "output-file", help: "filename to write label area contents" },
    { short: "j", long: "json", help: "parse label data into json" },
    { short: "u", long: "human", help: "use human friendly number formats (implies --json)" },
    { short: "I", long: "index", help: "limit read to the index block area" },
  ],
};

/** Bytes of a label by the versions that can be asked for. */
const LABEL_SIZES: ReadonlyMap<string, 128 | 256> = new Map([
  ["1.1", 128],
  ["v1.1", 128],
  ["1.2", 256],
  ["v1.2", 256],
]);

export function* readLabelAreas(io: NdctlIo, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, READ);
  const { flags, values } = given;
  const json = flags.has("json") || flags.has("human");
  const spans = spanOf(given);
  if (json && (spans.size > 0 || spans.offset > 0))
    throw new ToolUsageProblem(READ, "--size and --offset are incompatible with --json\n");
  if (flags.has("index") && spans.size > 0)
    throw new ToolUsageProblem(READ, "pick either --size, or --index, not both\n");
  const listings: Json[] = [];
  let bytes = "";
  const status = yield* overDimms(io, given, READ, ["read", "nmem"], function* (context, dimm) {
    if (json) listings.push(labelsJson(yield* listLabels(context, dimm), flags));
    else bytes += textOf(yield* readLabels(context, dimm, spanOf(given)));
  });
  const text = json ? formatJsonArray(listings, flags.has("human")) : bytes;
  const output = values.get("output");
  if (output === undefined) io.out(text);
  else yield* io.vfs.write(io.path(output), text);
  return status;
}

/** With `-I` only the index blocks, with `-u` numbers for people. @see dump_json() */
function labelsJson({ dev, index, label }: LabelListing, flags: ReadonlySet<string>): Json {
  if (flags.has("index") || !label) return { dev, index };
  const human = flags.has("human");
  return {
    dev,
    index,
    label: label.map((one) => ({
      ...one,
      flags: jsonHex(one.flags, human),
      isetcookie: jsonHex(one.isetcookie, human),
      dpa: jsonHex(one.dpa, human),
      rawsize: jsonSize(one.rawsize, human),
    })),
  };
}

export const zeroLabelAreas: NdctlCommand = dimmCommand(
  "zero-labels",
  SPAN,
  ["zeroed", "nmem"],
  function* (context, dimm, given, io) {
    yield* expectIdle(context, dimm, io);
    yield* zeroLabels(context, dimm, spanOf(given));
  },
);

export const initLabelAreas: NdctlCommand = dimmCommand(
  "init-labels",
  [
    {
      short: "V",
      long: "label-version",
      value: "version-number",
      help: "namespace label specification version (default: 1.1)",
    },
    { short: "f", long: "force", help: "force initialization even if existing index-block present" },
  ],
  ["initialized", "nmem"],
  function* (context, dimm, { flags, values }, io) {
    yield* expectIdle(context, dimm, io);
    if ((yield* hasLabelIndex(context, dimm)) && !flags.has("force")) {
      io.err(`${dimm.name}: error: labels already initialized\n`);
      throw new KernelError("EBUSY", `the labels of ${dimm.name} are initialised: say --force`);
    }
    yield* initLabels(context, dimm, LABEL_SIZES.get(values.get("label-version") ?? "1.1"));
  },
);

export const checkLabelAreas: NdctlCommand = dimmCommand(
  "check-labels",
  [],
  ["successfully verified", "nmem label"],
  function* (context, dimm) {
    if (!(yield* hasLabelIndex(context, dimm)))
      throw new KernelError("EINVAL", `${dimm.name} has no index block`);
  },
);

function dimmCommand(
  name: string,
  options: readonly ToolOption[],
  done: Done,
  step: (context: NdctlContext, dimm: NdDimm, given: ToolArguments, io: NdctlIo) => Sleeps<void>,
): NdctlCommand {
  const usage: ToolUsage = {
    line: `ndctl ${name} <nmem0> [<nmem1>..<nmemN>] [<options>]`,
    options: [...BASE, ...options],
  };
  return function* (io, args) {
    const given = parseToolOptions(args, usage);
    return yield* overDimms(io, given, usage, done, (context, dimm) => step(context, dimm, given, io));
  };
}

/** Does a step to each module that is named, and says to how many. */
function* overDimms(
  io: NdctlIo,
  given: ToolArguments,
  usage: ToolUsage,
  [verb, what]: Done,
  step: (context: NdctlContext, dimm: NdDimm) => Sleeps<void>,
): Sleeps<number> {
  const { operands, values } = given;
  expectNames(given, usage, io);
  const context = contextOf(io, new PrintedReport(io, "labels", false));
  const dimms = yield* dimmsOf(context, { bus: values.get("bus"), dimm: operands.join(" ") });
  const version = values.get("label-version") ?? "1.1";
  const known = LABEL_SIZES.has(version);
  if (!known) io.err(`'${version}' is not a valid label version\n`);
  const result = known
    ? yield* forEachSilently(dimms, (dimm) => step(context, dimm))
    : { done: 0, status: 1 };
  io.err(`${verb} ${result.done} ${what}${result.done > 1 ? "s" : ""}\n`);
  return result.status;
}

/**
 * Says which names aren't those of modules.
 *
 * @throws ToolUsageProblem without any name of a module
 */
function expectNames({ operands }: ToolArguments, usage: ToolUsage, io?: NdctlIo): void {
  if (operands.includes("all")) return;
  const wrong = operands.filter((name) => !/^nmem[+-]?\d/.test(name));
  const told = wrong.map((name) => `'${name}' is not a valid dimm name\n`).join("");
  if (wrong.length === operands.length) throw new ToolUsageProblem(usage, told);
  io?.err(told);
}

/** @throws KernelError EBUSY for a module whose regions are enabled, which is said */
function* expectIdle(context: NdctlContext, dimm: NdDimm, io: NdctlIo): Sleeps<void> {
  if (!(yield* isInUse(context, dimm))) return;
  io.err(`${dimm.name}: regions active, abort label write\n`);
  throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
}

function spanOf({ values }: ToolArguments): { offset: number; size: number } {
  return {
    offset: parseSize(values.get("offset") ?? "0") ?? 0,
    size: parseSize(values.get("size") ?? "0") ?? 0,
  };
}
