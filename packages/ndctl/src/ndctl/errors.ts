// ndctl inject-error, clear-errors, start-scrub and wait-scrub: bad memory on purpose, and getting rid of it. User space
// counterparts: ndctl/inject-error.c, namespace.c and bus.c.
import { errnoNumber, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import {
  formatJson,
  formatJsonArray,
  type Json,
  parseSize,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { clearErrors as clear } from "../libndctl/clear-errors.ts";
import type { NdctlContext } from "../libndctl/context.ts";
import type { NdBus, NdNamespace } from "../libndctl/devices.ts";
import {
  hasErrorInjection,
  injectedErrors,
  injectError as inject,
  uninjectError,
} from "../libndctl/inject-error.ts";
import { listBus } from "../libndctl/listing.ts";
import { startScrub as start, waitScrub as wait } from "../libndctl/scrub.ts";
import { counted, statusOf } from "../tool.ts";
import { namespaceJson } from "./list.ts";
import { contextOf, type NdctlCommand, type NdctlIo } from "./machine.ts";
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

const UNINJECT_WARNING =
  "Warning: Un-injecting previously injected errors here will\n" +
  "not cause the kernel to 'forget' its badblock entries. Those\n" +
  "have to be cleared through the normal process of writing\n" +
  "the affected blocks\n\n";

export function* injectErrors(io: NdctlIo, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, INJECT);
  const { flags, values } = given;
  const [block, count] = [parseSize(values.get("block") ?? ""), parseSize(values.get("count") ?? "")];
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
  const context = contextOf(io, new PrintedReport(io, "inject error", flags.has("verbose")));
  const [namespace] = yield* namespacesOf(context, { ...filterOf(given), namespace: name });
  if (!namespace) {
    io.err(`  Error: ${name}: no such namespace\n\n`);
    return statusOf(new KernelError("ENXIO", `there is no ${name}`));
  }
  if (!(yield* hasErrorInjection(context, namespace.bus))) {
    io.err(`${name}: error injection not supported\n`);
    return statusOf(new KernelError("EOPNOTSUPP", `the firmware can't inject errors into ${name}`));
  }
  try {
    if (flags.has("status")) return yield* printInjected(io, context, namespace);
    const request = {
      block: block ?? 0,
      count: count ?? 1,
      notify: !flags.has("no-notify"),
      saturate: flags.has("saturate"),
    };
    if (flags.has("uninject")) {
      yield* uninjectError(context, namespace, request);
      io.out(UNINJECT_WARNING);
    } else {
      yield* inject(context, namespace, request);
      if (request.notify) yield* wait(context, namespace.bus);
    }
    yield* printWithErrors(io, context, namespace, flags.has("human"));
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const verb = flags.has("uninject") ? "uninject" : "inject";
    io.err(`Unable to ${verb} error: ${strerror(error.errno)} (-${errnoNumber(error.errno)})\n`);
    return statusOf(error);
  }
}

/** `--status`. @see injection_status() */
function* printInjected(io: NdctlIo, context: NdctlContext, namespace: NdNamespace): Sleeps<number> {
  const badblocks = yield* injectedErrors(context, namespace);
  if (badblocks.length > 0)
    io.out(`${formatJson({ badblocks: badblocks.map(({ block, count }) => ({ block, count })) })}\n`);
  return 0;
}

/** Options that contradict each other, or miss one. @see inject_init() */
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

export function* clearErrors(io: NdctlIo, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, CLEAR);
  const name = namespaceOperand(given, CLEAR, "clear errors for");
  const report = new PrintedReport(io, "clear errors namespace", given.flags.has("verbose"));
  const context = contextOf(io, report);
  const namespaces = yield* actedOn(context, filterOf(given), name);
  const missing = name === "all" ? "nothing" : "ENXIO";
  // One scrub is enough.
  let scrub = given.flags.has("scrub");
  const failed = "error clearing namespaces";
  const result = yield* forEach(io, namespaces, failed, { missing, report }, function* (namespace) {
    const cleared = yield* clear(context, namespace, { scrub });
    scrub = false;
    if (cleared === undefined) return "skipped";
    yield* printWithErrors(io, context, namespace, false);
    return "done";
  });
  io.err(`cleared ${counted(result.done, "namespace")}\n`);
  return result.status;
}

export const startScrub: NdctlCommand = scrubCommand("start-scrub", "error starting scrub", start);
export const waitScrub: NdctlCommand = scrubCommand("wait-scrub", "error waiting for scrub completion", wait);

function scrubCommand(
  name: string,
  failed: string,
  step: (context: NdctlContext, bus: NdBus) => Sleeps<void>,
): NdctlCommand {
  const usage: ToolUsage = {
    line: `ndctl ${name} [<bus-id> <bus-id2> ... <bus-idN>] [<options>]`,
    options: [{ short: "v", long: "verbose", help: "turn on debug" }],
  };
  return function* (io, args) {
    const { operands, flags } = parseToolOptions(args, usage);
    const context = contextOf(io, new PrintedReport(io, name, flags.has("verbose")));
    const buses = yield* busesOf(context, operands.length > 0 ? operands.join(" ") : undefined);
    const shown: Json[] = [];
    const { status } = yield* forEach(io, buses, failed, { missing: "ENXIO" }, function* (bus) {
      yield* step(context, bus);
      shown.push(yield* listBus(context, bus));
      return "done";
    });
    io.out(formatJsonArray(shown, false));
    return status;
  };
}

function* printWithErrors(
  io: NdctlIo,
  context: NdctlContext,
  namespace: NdNamespace,
  human: boolean,
): Sleeps<void> {
  const options = { mediaErrors: true, human };
  io.out(`${formatJson(yield* namespaceJson(context, namespace, { options, dax: false }))}\n`);
}
