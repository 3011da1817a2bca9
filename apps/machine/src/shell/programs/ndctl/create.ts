// ndctl create-namespace: makes a namespace, or makes one anew with other settings (-e). User space counterpart:
// ndctl/namespace.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import {
  createNamespace as create,
  type CreateNamespaceOptions,
  type MapLocation,
  type Namespace,
  type NamespaceMode,
  parseUuid,
  reconfigureNamespace,
} from "@hetmem/nvdimm";
import type { ProgramContext } from "../../program.ts";
import { formatJson } from "../tool/json.ts";
import {
  parseSize,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
  USAGE_STATUS,
} from "../tool/options.ts";
import { counted, statusOf } from "../tool/run.ts";
import { namespaceJson } from "./list.ts";
import { FILTER_OPTIONS, filterOf, namespacesOf, regionsOf } from "./select.ts";

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
    { short: "L", long: "autolabel", help: "automatically initialize labels" },
    {
      short: "c",
      long: "continue",
      help: "continue creating namespaces as long as the filter criteria are met",
    },
    { short: "R", long: "autorecover", help: "automatically cleanup on failure" },
  ],
};
const MODES: Readonly<Record<string, NamespaceMode>> = {
  raw: "raw",
  fsdax: "fsdax",
  memory: "fsdax",
  devdax: "devdax",
  dax: "devdax",
  sector: "sector",
  safe: "sector",
};

export function* createNamespace(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  // What is on by default can only be said no to.
  const given = parseToolOptions(args, USAGE);
  const noLabels = args.includes("--no-autolabel");
  const options = readOptions(io, given, noLabels);
  if (options === undefined) return USAGE_STATUS;
  const victimName = given.values.get("reconfig");
  if (victimName === undefined) return yield* createAll(io, args, given, options);
  try {
    const [victim] = namespacesOf(io, { ...filterOf(given), namespace: victimName });
    if (!victim) throw new KernelError("ENXIO", `there is no ${victimName}`);
    expectIdle(io, victim, given);
    yield* print(io, yield* reconfigureNamespace(victim, options));
    return 0;
  } catch (error) {
    const status = statusOf(error);
    if (error instanceof KernelError) io.err(`failed to reconfigure namespace: ${strerror(error.errno)}\n`);
    return status;
  }
}

/** One, or with -c as many as there is room for. Whatever goes wrong, the status is ENODEV's. @see cmd_create_namespace() */
function* createAll(
  io: ProgramContext,
  args: readonly string[],
  given: ToolArguments,
  options: CreateNamespaceOptions,
): Sleeps<number> {
  const greedy = given.flags.has("continue");
  const regions = regionsOf(io, filterOf(given));
  let created = 0;
  let failure = new KernelError("ENXIO", "no region is there to make a namespace in");
  for (const region of regions) {
    try {
      for (;;) {
        yield* print(io, yield* create(region.bus, [region], options));
        created++;
        if (!greedy) break;
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      failure = error;
      // The next region may have room.
      if (error.errno === "ENOSPC") continue;
    }
    break;
  }
  if (greedy) io.err(`created ${counted(created, "namespace")}\n`);
  if (created > 0) return 0;
  // Without any option the program tries block windows next, of which there are none.
  const { errno } = args.length === 0 ? new KernelError("ENXIO", "no region has block windows") : failure;
  io.err(`failed to create namespace: ${strerror(errno)}\n`);
  return statusOf(new KernelError("ENODEV", "nothing was created"));
}

function* print(io: ProgramContext, namespace: Namespace): Sleeps<void> {
  const json = yield* namespaceJson(io, namespace, { options: {}, human: false, dax: true });
  io.out(`${formatJson(json)}\n`);
}

function expectIdle(io: ProgramContext, victim: Namespace, { flags }: ToolArguments): void {
  const active = victim.driver !== undefined || victim.claim?.driver !== undefined;
  if (!active || flags.has("force")) return;
  io.err(`  Error: ${victim.name} is active, specify --force for re-configuration\n\n`);
  throw new KernelError("EBUSY", `${victim.name} is active`);
}

/** undefined when a size can't be read, which is said. @throws ToolUsageProblem @see set_defaults() */
function readOptions(
  io: ProgramContext,
  { values, flags, operands }: ToolArguments,
  noLabels: boolean,
): CreateNamespaceOptions | undefined {
  const refuse = (text: string): never => {
    throw new ToolUsageProblem(USAGE, `  Error: ${text}\n\n`);
  };
  const [extra] = operands;
  if (extra !== undefined) refuse(`unknown extra parameter "${extra}"`);
  const mode = values.get("mode");
  if (mode !== undefined && MODES[mode] === undefined) refuse(`invalid mode '${mode}'`);
  const map = values.get("map");
  if (map !== undefined && map !== "mem" && map !== "dev") refuse(`invalid map location '${map}'`);
  const uuid = values.get("uuid");
  if (uuid !== undefined && !isUuid(uuid)) refuse(`failed to parse uuid: '${uuid}'`);
  const size = values.get("size");
  if (size !== undefined && parseSize(size) === undefined) {
    io.err(`  Error: failed to parse namespace size '${size}'\n\n`.repeat(2));
    return undefined;
  }
  const align = values.get("align");
  const alignBytes = align === undefined ? undefined : parseSize(align);
  if (align !== undefined && alignBytes === undefined)
    refuse(`failed to parse namespace alignment '${align}'`);
  if (
    alignBytes !== undefined &&
    (2 ** Math.round(Math.log2(alignBytes)) !== alignBytes || alignBytes < 4096)
  )
    refuse("align must be a power-of-2 greater than 4096");
  const sector = values.get("sector-size");
  const sectorSize = sector === undefined ? undefined : parseSize(sector);
  if (sector !== undefined && sectorSize === undefined) refuse(`invalid sector size: ${sector}`);
  const name = values.get("name");
  return {
    ...(mode !== undefined && { mode: MODES[mode] ?? "fsdax" }),
    ...(map !== undefined && { map: map as MapLocation }),
    ...(uuid !== undefined && { uuid }),
    ...(size !== undefined && { size: parseSize(size) ?? 0 }),
    ...(alignBytes !== undefined && { align: alignBytes }),
    ...(sectorSize !== undefined && { sectorSize }),
    ...(name !== undefined && { name }),
    force: flags.has("force"),
    autolabel: !noLabels,
  };
}

function isUuid(text: string): boolean {
  try {
    return parseUuid(text).length === text.length;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
