// ndctl inject-error, clear-errors, start-scrub and wait-scrub: bad memory on purpose, and getting rid of it. User space
// counterparts: ndctl/inject-error.c, namespace.c and bus.c.
import { errnoNumber, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import {
  clearErrors as clear,
  injectedErrors,
  injectError as inject,
  listBus,
  type Namespace,
  type NvdimmBus,
  startScrub as start,
  uninjectError,
  waitScrub as wait,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "@hetmem/shell";
import {
  formatJson,
  formatJsonArray,
  type Json,
  parseSize,
  parseToolOptions,
  type ToolArguments,
  type ToolUsage,
  ToolUsageProblem,
} from "@hetmem/shell/tool";
import { counted, statusOf, type ToolCommand } from "../tool/run.ts";
import { namespaceJson } from "./list.ts";
import { PrintedReport } from "./report.ts";
import {
  actedOn,
  busesOf,
  FILTER_OPTIONS,
  filterOf,
  forEach,
  namespaceOperand,
  namespacesOf,
} from "./select.ts";

const INJECT: ToolUsage = {
  line: "ndctl inject-error <namespace> [<options>]",
  options: [
    ...FILTER_OPTIONS,
    {
      short: "B",
      long: "block",
      value: "namespace block offset (512B)",
      help: "specify the block at which to (un)inject the error",
    },
    {
      short: "n",
      long: "count",
      value: "count",
      help: "specify the number of blocks of errors to (un)inject",
    },
    { short: "d", long: "uninject", help: "un-inject a previously injected error" },
    { short: "t", long: "status", help: "get error injection status" },
    { short: "N", long: "no-notify", help: "firmware should not notify OS" },
    { short: "S", long: "saturate", help: "inject full sector, not just 'ars_unit' bytes" },
    { short: "u", long: "human", help: "use human friendly number formats " },
  ],
};
const CLEAR: ToolUsage = {
  line: "ndctl clear_errors <namespace> [<options>]",
  options: [...FILTER_OPTIONS, { short: "s", long: "scrub", help: "run a scrub to find latent errors" }],
};

export function* injectErrors(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, INJECT);
  const { flags, values } = given;
  const [block, count] = [parseSize(values.get("block") ?? ""), parseSize(values.get("count") ?? "")];
  const status = flags.has("status");
  const wrong = wrongOptions(given);
  if (wrong !== undefined) {
    io.err(`  Error: ${wrong}\n\n`);
    return statusOf(new KernelError("EINVAL", wrong));
  }
  const [name, ...extra] = given.operands;
  if (name === undefined || extra.length > 0) {
    const problems = extra.map((word) => `  Error: unknown extra parameter "${word}"\n\n`);
    if (name === undefined) problems.push("  Error: specify a namespace to inject error to\n\n");
    throw new ToolUsageProblem(INJECT, problems.join(""));
  }
  const [namespace] = namespacesOf(io, { ...filterOf(given), namespace: name });
  if (!namespace) {
    io.err(`  Error: ${name}: no such namespace\n\n`);
    return statusOf(new KernelError("ENXIO", `there is no ${name}`));
  }
  if (namespace.region.bus.firmware !== "ars") {
    io.err(`${name}: error injection not supported\n`);
    return statusOf(new KernelError("EOPNOTSUPP", `the firmware can't inject errors into ${name}`));
  }
  const human = flags.has("human");
  try {
    if (status) {
      const badblocks = injectedErrors(namespace).map(({ block: at, count: length }) => ({
        block: at,
        count: length,
      }));
      if (badblocks.length > 0) io.out(`${formatJson({ badblocks })}\n`);
      return 0;
    }
    const request = {
      block: block ?? 0,
      count: count ?? 1,
      notify: !flags.has("no-notify"),
      saturate: flags.has("saturate"),
    };
    if (flags.has("uninject")) {
      yield* uninjectError(namespace, request);
      io.out("Warning: Un-injecting previously injected errors here will\n");
      io.out("not cause the kernel to 'forget' its badblock entries. Those\n");
      io.out("have to be cleared through the normal process of writing\n");
      io.out("the affected blocks\n\n");
    } else {
      yield* inject(namespace, request);
      if (request.notify) yield* wait(namespace.region.bus);
    }
    yield* printWithErrors(io, namespace, human);
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const verb = flags.has("uninject") ? "uninject" : "inject";
    io.err(`Unable to ${verb} error: ${strerror(error.errno)} (-${errnoNumber(error.errno)})\n`);
    return statusOf(error);
  }
}

/** What can't be asked for. @see inject_init() */
function wrongOptions({ flags, values }: ToolArguments): string | undefined {
  const [block, count] = [values.get("block"), values.get("count")];
  const changes = block !== undefined || count !== undefined || flags.has("saturate");
  if (flags.has("status"))
    return changes || flags.has("uninject") ? "status is invalid with inject or uninject" : undefined;
  if (block !== undefined && parseSize(block) === undefined) return `Invalid block: ${block}`;
  if (count !== undefined && parseSize(count) === undefined) return `Invalid count: ${count}`;
  return block === undefined || count === undefined
    ? "block and count required for inject/uninject"
    : undefined;
}

export function* clearErrors(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, CLEAR);
  const name = namespaceOperand(given, CLEAR, "clear errors for");
  const namespaces = actedOn(io, filterOf(given), name);
  const missing = name === "all" ? "nothing" : "ENXIO";
  const report = new PrintedReport(io, "clear errors namespace", given.flags.has("verbose"));
  // One scrub is enough.
  let scrub = given.flags.has("scrub");
  const failed = "error clearing namespaces";
  const result = yield* forEach(io, namespaces, failed, { missing, report }, function* (namespace) {
    const cleared = yield* clear(namespace, { scrub, report });
    scrub = false;
    if (cleared === undefined) return "skipped";
    yield* printWithErrors(io, namespace, false);
    return "done";
  });
  io.err(`cleared ${counted(result.done, "namespace")}\n`);
  return result.status;
}

export const startScrub: ToolCommand = scrubCommand("start-scrub", "error starting scrub", (bus) =>
  start(bus, "long"),
);
export const waitScrub: ToolCommand = scrubCommand("wait-scrub", "error waiting for scrub completion", wait);

function scrubCommand(name: string, failed: string, step: (bus: NvdimmBus) => Sleeps<void>): ToolCommand {
  const usage: ToolUsage = {
    line: `ndctl ${name} [<bus-id> <bus-id2> ... <bus-idN>] [<options>]`,
    options: [{ short: "v", long: "verbose", help: "turn on debug" }],
  };
  return function* (io, args) {
    const { operands } = parseToolOptions(args, usage);
    const buses = busesOf(io, operands.length > 0 ? operands.join(" ") : undefined);
    const shown: Json[] = [];
    const { status } = yield* forEach(io, buses, failed, { missing: "ENXIO" }, function* (bus) {
      yield* step(bus);
      shown.push(listBus(bus) as Json);
      return "done";
    });
    io.out(formatJsonArray(shown, false));
    return status;
  };
}

function* printWithErrors(io: ProgramContext, namespace: Namespace, human: boolean): Sleeps<void> {
  const json = yield* namespaceJson(io, namespace, { options: { mediaErrors: true }, human, dax: false });
  io.out(`${formatJson(json)}\n`);
}
