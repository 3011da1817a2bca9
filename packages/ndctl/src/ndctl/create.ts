// ndctl create-namespace: makes a namespace, or makes one anew with other settings (-e). User space counterpart:
// ndctl/namespace.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { parseUuid } from "@hetmem/nvdimm";
import {
  errorLine,
  formatJson,
  parseSize,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import type { NdctlContext } from "../libndctl/context.ts";
import { createInRegion, reconfigureNamespace } from "../libndctl/create-namespace.ts";
import type { NdNamespace } from "../libndctl/devices.ts";
import type { CreateNamespaceOptions, MapLocation, NamespaceMode } from "../libndctl/namespace-options.ts";
import { counted, statusOf } from "../tool.ts";
import { namespaceJson } from "./list.ts";
import { contextOf, type NdctlIo } from "./machine.ts";
import { PrintedReport } from "./report.ts";
import { actedOn, FILTER_OPTIONS, filterOf, regionsOf } from "./select.ts";

const USAGE: ToolUsage = {
  line: "ndctl create-namespace [<options>]",
  options: [
    ...FILTER_OPTIONS,
    { short: "e", long: "reconfig", value: "reconfig namespace", help: "reconfigure existing namespace" },
    {
      short: "u",
      long: "uuid",
      value: "uuid",
      help: "specify the uuid for the namespace (default: autogenerate)",
    },
    {
      short: "n",
      long: "name",
      value: "name",
      help: "specify an optional free form name for the namespace",
    },
    {
      short: "s",
      long: "size",
      value: "size",
      help: "specify the namespace size in bytes (default: available capacity)",
    },
    {
      short: "m",
      long: "mode",
      value: "operation-mode",
      help: "specify a mode for the namespace, 'sector', 'fsdax', 'devdax' or 'raw'",
    },
    {
      short: "M",
      long: "map",
      value: "memmap-location",
      help: "specify 'mem' or 'dev' for the location of the memmap",
    },
    {
      short: "l",
      long: "sector-size",
      value: "lba-size",
      help: "specify the logical sector size in bytes",
    },
    {
      short: "t",
      long: "type",
      value: "type",
      help: "specify the type of namespace to create 'pmem' or 'blk'",
    },
    {
      short: "a",
      long: "align",
      value: "align",
      help: "specify the namespace alignment in bytes (default: 2M)",
    },
    { short: "f", long: "force", help: "reconfigure namespace even if currently active" },
    { short: "L", long: "autolabel", initially: true, help: "automatically initialize labels" },
    {
      short: "c",
      long: "continue",
      help: "continue creating namespaces as long as the filter criteria are met",
    },
    { short: "R", long: "autorecover", initially: true, help: "automatically cleanup on failure" },
  ],
};
const MODES: ReadonlyMap<string, NamespaceMode> = new Map([
  ["raw", "raw"],
  ["fsdax", "fsdax"],
  ["memory", "fsdax"],
  ["devdax", "devdax"],
  ["dax", "devdax"],
  ["sector", "sector"],
  ["safe", "sector"],
]);
const UNITS = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const;

export function* createNamespace(io: NdctlIo, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, USAGE);
  const report = new PrintedReport(io, "create namespace", given.flags.has("verbose"));
  const context = contextOf(io, report);
  const options = readOptions(given);
  const victimName = given.values.get("reconfig");
  if (victimName === undefined) {
    const created = yield* createAll(io, context, given, options);
    return endOfCreation(io, args, created, report);
  }
  try {
    const [victim] = yield* actedOn(context, filterOf(given), victimName);
    if (!victim) throw new KernelError("ENXIO", `there is no ${victimName}`);
    yield* print(io, context, yield* reconfigureNamespace(context, victim, options));
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (report.failures === 0) io.err(`failed to reconfigure namespace: ${strerror(error.errno)}\n`);
    return statusOf(error);
  }
}

/** Makes one namespace, or with -c one in each region that has room. @returns why the last one wasn't made @see do_xaction_namespace() */
function* createAll(
  io: NdctlIo,
  context: NdctlContext,
  given: ToolArguments,
  options: CreateNamespaceOptions,
): Sleeps<KernelError | undefined> {
  const greedy = given.flags.has("continue");
  const isPmem = (given.values.get("type") ?? "pmem") === "pmem";
  const regions = isPmem ? yield* regionsOf(context, filterOf(given)) : [];
  let created = 0;
  let refused: KernelError | undefined = new KernelError(
    "ENXIO",
    "no region is there to make a namespace in",
  );
  for (const region of regions) {
    try {
      yield* print(io, context, yield* createInRegion(context, region, options));
      created++;
      refused = undefined;
      if (!greedy) break;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      refused = error;
      // The next region may have room.
      if (error.errno !== "EAGAIN" && !(greedy && given.flags.has("force"))) break;
    }
  }
  if (greedy) io.err(`created ${counted(created, "namespace")}\n`);
  if (refused?.errno !== "EAGAIN") return refused;
  return greedy && created > 0 ? undefined : new KernelError("ENOSPC", "no region has room for it");
}

/** The last line and the status. @see cmd_create_namespace() */
function endOfCreation(
  io: NdctlIo,
  args: readonly string[],
  created: KernelError | undefined,
  { failures }: PrintedReport,
): number {
  if (!created) return 0;
  // Without any option the program tries block windows next, of which there are none.
  const refused = args.length === 0 ? new KernelError("ENXIO", "no region has block windows") : created;
  if (failures > 0) return statusOf(refused);
  io.err(`failed to create namespace: ${strerror(refused.errno)}\n`);
  return statusOf(new KernelError("ENODEV", "the status is the same for every refusal"));
}

function* print(io: NdctlIo, context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  const json = yield* namespaceJson(context, namespace, {
    options: { human: io.printsToTerminal },
    dax: true,
  });
  io.out(`${formatJson(json)}\n`);
}

/** @throws ToolUsageProblem with everything that is wrong @see set_defaults() */
function readOptions({ values, flags, operands }: ToolArguments): CreateNamespaceOptions {
  const problems: string[] = [];
  const check = (isRight: boolean, text: string): void => {
    if (!isRight) problems.push(errorLine(`${text}\n`));
  };
  const [type, modeName, map] = [values.get("type"), values.get("mode"), values.get("map")];
  const [size, align] = [values.get("size"), values.get("align")];
  const [uuid, sector, name] = [values.get("uuid"), values.get("sector-size"), values.get("name")];
  const mode = MODES.get(modeName ?? "");
  const isDax = mode === "fsdax" || mode === "devdax";
  check(
    type === undefined || type === "pmem" || type === "blk",
    `invalid type '${type}', must be either 'pmem' or 'blk'`,
  );
  check(modeName === undefined || mode !== undefined, `invalid mode '${modeName}'`);
  check(map === undefined || map === "mem" || map === "dev", `invalid map location '${map}'`);
  check(
    map === undefined || values.has("reconfig") || modeName === undefined || isDax,
    "--map only valid for an devdax mode pmem namespace",
  );
  check(!(type === "blk" && isDax), "only 'pmem' namespaces support dax operation");
  const sizeIsRight = size === undefined || parseSize(size) !== undefined;
  check(sizeIsRight, `failed to parse namespace size '${size}'`);
  const alignBytes = align === undefined ? undefined : parseSize(align);
  check(align === undefined || alignBytes !== undefined, `failed to parse namespace alignment '${align}'`);
  check(
    alignBytes === undefined || (Number.isInteger(Math.log2(alignBytes)) && alignBytes >= 4096),
    "align must be a power-of-2 greater than 4096",
  );
  check(sizeIsRight, `failed to parse namespace size '${size}'`);
  check(uuid === undefined || isUuid(uuid), `failed to parse uuid: '${uuid}'`);
  const sectorSize = sector === undefined ? undefined : parseSize(sector);
  check(sector === undefined || sectorSize !== undefined, `invalid sector size: ${sector}`);
  for (const word of operands) check(false, `unknown extra parameter "${word}"`);
  if (problems.length > 0) throw new ToolUsageProblem(USAGE, problems.join(""));
  return {
    ...(mode !== undefined && { mode }),
    ...(map !== undefined && { map: map as MapLocation }),
    ...(uuid !== undefined && { uuid }),
    ...(size !== undefined && { size: parseSize(size) ?? 0, sizeUnit: unitOf(size) }),
    ...(alignBytes !== undefined && { align: alignBytes }),
    ...(sectorSize !== undefined && { sectorSize }),
    ...(name !== undefined && { name }),
    force: flags.has("force"),
    autolabel: flags.has("autolabel"),
    autorecover: flags.has("autorecover"),
  };
}

/** Bytes of the unit behind a size. */
function unitOf(size: string): number {
  const letter = size.at(-1)?.toLowerCase();
  return letter === "k" || letter === "m" || letter === "g" || letter === "t" ? UNITS[letter] : 1;
}

function isUuid(text: string): boolean {
  try {
    return parseUuid(text).length === text.length;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
