// From the options of `ndctl create-namespace` to the values that are written to /sys: defaults, settings that a namespace inherits when it
// is made anew, and every refusal that comes before anything is touched. User space counterpart: validate_namespace_options() in
// ndctl/namespace.c.
import { isAligned, KernelError, MiB, PAGE_SIZE } from "@hetmem/kernel";
import type { ClaimKind } from "./devices.ts";
import type { ClaimFacts, NamespaceFacts, RegionFacts } from "./facts.ts";
import { failure, type NdctlReport, refusal } from "./report.ts";

export type NamespaceMode = "raw" | "fsdax" | "devdax" | "sector";
/** Location of struct pages: RAM, or the namespace. */
export type MapLocation = "mem" | "dev";

export interface CreateNamespaceOptions {
  /** `-m`; default fsdax, or the mode of the old namespace. */
  readonly mode?: NamespaceMode;
  /** `-s`: bytes; default the largest free extent, or the size of the old namespace. */
  readonly size?: number;
  /** Unit of the given size in bytes, used to recommend another size; default 1. */
  readonly sizeUnit?: number;
  /** `-a`: bytes; default 2 MiB, the alignment of the seed, or that of an old namespace of the same mode. */
  readonly align?: number;
  /** `-M`; default dev, not inherited. */
  readonly map?: MapLocation;
  /** `-l`: sector size in bytes; default 512, or 4096 in sector mode. */
  readonly sectorSize?: number;
  /** `-n`; default the name of the old namespace. */
  readonly name?: string;
  /** `-u`; default a new one. */
  readonly uuid?: string;
  /** `-f`: allow an active namespace, or a start that isn't a multiple of 16 MiB. */
  readonly force?: boolean;
  /** `--no-autolabel` when false: don't initialise labels. */
  readonly autolabel?: boolean;
  /** `--no-autorecover` when false: leave a namespace that couldn't be enabled. */
  readonly autorecover?: boolean;
}

/** The state of the region when a namespace is planned. */
export interface PlanFacts {
  readonly region: RegionFacts;
  readonly mode: NamespaceMode;
  /** The claim that is to be configured next, of the kind that the mode asks for. */
  readonly claimSeed: ClaimFacts | undefined;
  /** The namespace that is to be configured next; undefined where one is made anew. */
  readonly namespaceSeed: NamespaceFacts | undefined;
  /** The namespace that is made anew. */
  readonly former: NamespaceFacts | undefined;
}

/** The settings of a namespace that is to be made. @see struct parsed_parameters */
export interface NamespacePlan {
  readonly mode: NamespaceMode;
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  readonly map: MapLocation;
  /** undefined for the kernel's default. */
  readonly sectorSize: number | undefined;
  readonly name: string;
  readonly uuid: string;
}

const CLAIMABLE_SIZE_MIN = 16 * MiB;
/** Default sector sizes in bytes. */
const DEFAULT_SECTOR = 512;
const DEFAULT_BTT_SECTOR = 4096;
const NAME_LENGTH_MAX = 63;
const UNITS: ReadonlyMap<number, string> = new Map([
  [1024, "K"],
  [MiB, "M"],
  [1024 * MiB, "G"],
  [1024 * 1024 * MiB, "T"],
]);
const MODES = { raw: "raw", safe: "sector", memory: "fsdax", dax: "devdax" } as const;

/**
 * @param uuid a new one, for a namespace that is given none
 * @throws KernelError EAGAIN when the region has no room: another may; EINVAL, ENXIO and ENODEV for what can't be
 * @see validate_namespace_options()
 */
export function planNamespace(
  facts: PlanFacts,
  options: CreateNamespaceOptions,
  uuid: string,
  report: NdctlReport,
): NamespacePlan {
  const { region, mode, claimSeed: seed, former } = facts;
  if (!region.enabled) throw new KernelError("EAGAIN", `${region.name} is disabled`);
  const size = options.size ?? former?.size ?? 0;
  const wanted = former ? size : availableFor(region, size);
  if (!region.labelled && wanted !== region.size) {
    report.error("Legacy / label-less namespaces do not support sub-dividing a region");
    throw refusal(report, "EINVAL", "Retry without -s/--size=");
  }
  const name = options.name ?? former?.altName ?? "";
  if (name.length > NAME_LENGTH_MAX)
    throw failure(report, "EINVAL", "validate_namespace_options: alt name overflow");
  if (mode === "devdax" && !seed) throw refusal(report, "ENODEV", "Kernel does not support devdax mode");
  const align = alignOf(facts, options.align, report);
  expectAligned(region, wanted, align, options.sizeUnit ?? 1, report);
  expectLarge(region, wanted, mode, former !== undefined || options.size !== undefined, report);
  const sectorSize = sectorSizeOf(facts, options, report);
  if (options.map && former && mode !== "fsdax" && mode !== "devdax")
    throw failure(report, "EINVAL", `${former.name}: --map= only valid for fsdax mode namespace`);
  if (mode === "fsdax" && !seed)
    throw refusal(report, "EINVAL", `operation failed, ${region.name} cannot support requested mode`);
  return { mode, size: wanted, align, map: options.map ?? "dev", sectorSize, name, uuid };
}

/** The mode that is asked for; default fsdax, or the mode of the namespace that is made anew. */
export function modeOf({ mode }: CreateNamespaceOptions, former: NamespaceFacts | undefined): NamespaceMode {
  return mode ?? (former ? MODES[former.mode] : "fsdax");
}

/** The personality that gives a namespace a mode; undefined for raw mode. */
export function claimKindOf(mode: NamespaceMode): ClaimKind | undefined {
  return mode === "raw" ? undefined : ({ fsdax: "pfn", devdax: "dax", sector: "btt" } as const)[mode];
}

/** @throws KernelError EAGAIN @see validate_available_capacity() */
function availableFor({ name, labelled, maxAvailableExtent, size: all }: RegionFacts, size: number): number {
  const available = labelled ? maxAvailableExtent : all;
  if (available === 0 || size > available)
    throw new KernelError("EAGAIN", `${name} has ${available} bytes in one piece, ${size} are wanted`);
  return size === 0 ? available : size;
}

function alignOf(
  { region, mode, claimSeed: seed, former }: PlanFacts,
  align: number | undefined,
  report: NdctlReport,
): number {
  if (align !== undefined) {
    if (mode !== "fsdax" && mode !== "devdax")
      throw refusal(report, "ENXIO", `${mode} mode does not support setting an alignment`);
    if (!seed) throw refusal(report, "EINVAL", "Kernel does not support setting an alignment in fsdax mode");
    if (!seed.alignments.includes(align)) throw refusal(report, "ENXIO", `unsupported align: ${align}`);
    return align;
  }
  const chosen =
    former && MODES[former.mode] === mode
      ? former.claim && former.claim.kind !== "btt"
        ? former.claim.align
        : PAGE_SIZE
      : seed && mode !== "sector"
        ? seed.align
        : PAGE_SIZE;
  return isAligned(region.start, chosen) ? chosen : PAGE_SIZE;
}

function expectAligned(
  region: RegionFacts,
  size: number,
  align: number,
  sizeUnit: number,
  report: NdctlReport,
): void {
  if (size % region.align !== 0)
    throw failure(
      report,
      "EINVAL",
      `${region.name}: align setting is 0x${region.align.toString(16)} size 0x${size.toString(16)} is misaligned`,
    );
  const ways = Math.max(1, region.ways);
  if (size % (align * ways) === 0) return;
  const step = Math.max(sizeUnit, align) * ways;
  const better = ((Math.floor(size / step) + 1) * step) / sizeUnit;
  throw failure(
    report,
    "EINVAL",
    `'--size=' must align to interleave-width: ${ways} and alignment: ${align}\ndid you intend --size=${better}${UNITS.get(sizeUnit) ?? ""}?`,
  );
}

/** The kernel gives no personality to less than 16 MiB. */
function expectLarge(
  region: RegionFacts,
  size: number,
  mode: NamespaceMode,
  isSizeGiven: boolean,
  report: NdctlReport,
): void {
  if (size >= CLAIMABLE_SIZE_MIN || mode === "raw") return;
  if (!isSizeGiven)
    throw new KernelError("EAGAIN", `${region.name} has not the 16 MiB that ${mode} mode needs`);
  throw refusal(report, "EINVAL", `'--size=' must be >= 16MiB for '${mode}' mode`);
}

function sectorSizeOf(
  { region, mode, claimSeed: seed, namespaceSeed, former }: PlanFacts,
  { sectorSize, mode: asked }: CreateNamespaceOptions,
  report: NdctlReport,
): number | undefined {
  const size = sectorSize ?? (asked === "sector" ? DEFAULT_BTT_SECTOR : undefined);
  if (size !== undefined) {
    if (mode === "sector") {
      if (!seed) throw failure(report, "EINVAL", `${region.name}: does not support 'sector' mode`);
      if (!seed.sectorSize.supported.includes(size))
        throw failure(report, "EINVAL", `${region.name}: does not support btt sector_size ${size}`);
    } else if (!(former ?? namespaceSeed)?.sectorSize.supported.includes(size)) {
      throw failure(report, "EINVAL", `${region.name}: does not support namespace sector_size ${size}`);
    }
    return size;
  }
  if (former) {
    if (former.claim?.kind === "btt" && mode === "sector") return former.claim.sectorSize.chosen;
    return former.sectorSize.chosen || undefined;
  }
  if (!namespaceSeed) throw failure(report, "ENXIO", `${region.name}: failed to get seed`);
  return region.labelled ? DEFAULT_SECTOR : undefined;
}
