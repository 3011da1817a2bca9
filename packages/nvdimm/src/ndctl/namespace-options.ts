// From what was asked of `ndctl create-namespace` to what is written to /sys: defaults, what a namespace that is made anew inherits, and
// everything that is refused before anything is touched. Kernel counterpart: none, this is validate_namespace_options() in
// ndctl/namespace.c.
import { isAligned, KernelError, MiB, PAGE_SIZE } from "@hetmem/kernel";
import { maxAvailableExtent } from "../devices/capacity.ts";
import { BTT_SECTOR_SIZES, type Claim, PFN_ALIGNMENTS } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { PMEM_SECTOR_SIZES } from "../drivers/configure.ts";
import { failure, type NdctlReport, refusal, UNHEARD } from "./report.ts";

export type NamespaceMode = "raw" | "fsdax" | "devdax" | "sector";
/** Where struct pages lie: in RAM, or in the namespace. */
export type MapLocation = "mem" | "dev";

export interface CreateNamespaceOptions {
  /** `-m`; default fsdax, or what the namespace was. */
  readonly mode?: NamespaceMode;
  /** `-s`: bytes; default all that is free in one piece, or what the namespace had. */
  readonly size?: number;
  /** Bytes of the unit that the size was given in, in which another is recommended; default 1. */
  readonly sizeUnit?: number;
  /** `-a`: bytes; default what the region's next pfn or dax has: 2 MiB; or what a namespace of the same mode had. */
  readonly align?: number;
  /** `-M`; default dev, whatever the namespace had. */
  readonly map?: MapLocation;
  /** `-l`: bytes of a sector; default 512, or 4096 for sector mode. */
  readonly sectorSize?: number;
  /** `-n`; default what the namespace had. */
  readonly name?: string;
  /** `-u`; default a new one. */
  readonly uuid?: string;
  /** `-f`: also where it is active, or begins off a multiple of 16 MiB. */
  readonly force?: boolean;
  /** `--no-autolabel` is false: a namespace without labels stays without. */
  readonly autolabel?: boolean;
  /** `--no-autorecover` is false: what couldn't be enabled is left as it is. */
  readonly autorecover?: boolean;
  readonly report?: NdctlReport;
}

/** What a namespace is to be. @see struct parsed_parameters */
export interface NamespacePlan {
  readonly mode: NamespaceMode;
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  readonly map: MapLocation;
  /** undefined leaves it to the kernel. */
  readonly sectorSize: number | undefined;
  readonly name: string;
  readonly uuid: string;
}

const CLAIMABLE_SIZE_MIN = 16 * MiB;
/** Sectors where nothing else is said; of a btt, more. */
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
 * @param former the namespace that is made anew
 * @throws KernelError EAGAIN when the region has no room: another may; EINVAL, ENXIO and ENODEV for what can't be
 * @see validate_namespace_options()
 */
export function planNamespace(
  region: Region,
  options: CreateNamespaceOptions,
  former?: Namespace,
): NamespacePlan {
  const { report = UNHEARD, uuid = region.bus.newUuid() } = options;
  if (region.driver === undefined) throw new KernelError("EAGAIN", `${region.name} is disabled`);
  const size = options.size ?? former?.size ?? 0;
  const wanted = former ? size : availableFor(region, size);
  if (!region.isLabelled && wanted !== region.size) {
    report.error("Legacy / label-less namespaces do not support sub-dividing a region");
    throw refusal(report, "EINVAL", "Retry without -s/--size=");
  }
  const name = options.name ?? former?.altName ?? "";
  if (name.length > NAME_LENGTH_MAX)
    throw failure(report, "EINVAL", "validate_namespace_options: alt name overflow");
  const mode = options.mode ?? (former ? MODES[former.mode] : "fsdax");
  const seed = seedOf(region, mode);
  if (mode === "devdax" && !seed) throw refusal(report, "ENODEV", "Kernel does not support devdax mode");
  const align = alignOf(region, mode, seed, options, former);
  expectAligned(region, wanted, align, options);
  expectLarge(region, wanted, mode, options, former);
  const sectorSize = sectorSizeOf(region, mode, options, former);
  if (options.map && former && mode !== "fsdax" && mode !== "devdax")
    throw failure(report, "EINVAL", `${former.name}: --map= only valid for fsdax mode namespace`);
  if (mode === "fsdax" && !seed)
    throw refusal(report, "EINVAL", `operation failed, ${region.name} cannot support requested mode`);
  return { mode, size: wanted, align, map: options.map ?? "dev", sectorSize, name, uuid };
}

/** The claim of the region that is to be configured next. */
export function seedOf({ claimSeeds }: Region, mode: NamespaceMode): Claim | undefined {
  return mode === "raw"
    ? undefined
    : claimSeeds[({ fsdax: "pfn", devdax: "dax", sector: "btt" } as const)[mode]];
}

/** @throws KernelError EAGAIN @see validate_available_capacity() */
function availableFor(region: Region, size: number): number {
  const available = region.isLabelled ? maxAvailableExtent(region) : region.size;
  if (available === 0 || size > available)
    throw new KernelError("EAGAIN", `${region.name} has ${available} bytes in one piece, ${size} are wanted`);
  return size === 0 ? available : size;
}

function alignOf(
  region: Region,
  mode: NamespaceMode,
  seed: Claim | undefined,
  { align, report = UNHEARD }: CreateNamespaceOptions,
  former?: Namespace,
): number {
  if (align !== undefined) {
    if (mode !== "fsdax" && mode !== "devdax")
      throw refusal(report, "ENXIO", `${mode} mode does not support setting an alignment`);
    if (!seed) throw refusal(report, "EINVAL", "Kernel does not support setting an alignment in fsdax mode");
    if (PFN_ALIGNMENTS.every((one) => one !== align))
      throw refusal(report, "ENXIO", `unsupported align: ${align}`);
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
  region: Region,
  size: number,
  align: number,
  { sizeUnit = 1, report = UNHEARD }: CreateNamespaceOptions,
): void {
  if (size % region.align !== 0)
    throw failure(
      report,
      "EINVAL",
      `${region.name}: align setting is 0x${region.align.toString(16)} size 0x${size.toString(16)} is misaligned`,
    );
  const ways = Math.max(1, region.mappings.length);
  if (size % (align * ways) === 0) return;
  const step = Math.max(sizeUnit, align) * ways;
  const better = ((Math.floor(size / step) + 1) * step) / sizeUnit;
  throw failure(
    report,
    "EINVAL",
    `'--size=' must align to interleave-width: ${ways} and alignment: ${align}\ndid you intend --size=${better}${UNITS.get(sizeUnit) ?? ""}?`,
  );
}

/** What the kernel refuses to give a personality to. */
function expectLarge(
  region: Region,
  size: number,
  mode: NamespaceMode,
  { size: asked, report = UNHEARD }: CreateNamespaceOptions,
  former?: Namespace,
): void {
  if (size >= CLAIMABLE_SIZE_MIN || mode === "raw") return;
  if (asked === undefined && !former)
    throw new KernelError("EAGAIN", `${region.name} has not the 16 MiB that ${mode} mode needs`);
  throw refusal(report, "EINVAL", `'--size=' must be >= 16MiB for '${mode}' mode`);
}

function sectorSizeOf(
  region: Region,
  mode: NamespaceMode,
  { sectorSize, mode: asked, report = UNHEARD }: CreateNamespaceOptions,
  former?: Namespace,
): number | undefined {
  const size = sectorSize ?? (asked === "sector" ? DEFAULT_BTT_SECTOR : undefined);
  if (size !== undefined) {
    if (mode === "sector") {
      if (!region.claimSeeds.btt)
        throw failure(report, "EINVAL", `${region.name}: does not support 'sector' mode`);
      if (BTT_SECTOR_SIZES.every((one) => one !== size))
        throw failure(report, "EINVAL", `${region.name}: does not support btt sector_size ${size}`);
    } else if (!hasSectorSize(former ?? region.namespaceSeed, size)) {
      throw failure(report, "EINVAL", `${region.name}: does not support namespace sector_size ${size}`);
    }
    return size;
  }
  if (former) {
    if (former.claim?.kind === "btt" && mode === "sector") return former.claim.sectorSize;
    return former.lbaSize || undefined;
  }
  if (!region.namespaceSeed) throw failure(report, "ENXIO", `${region.name}: failed to get seed`);
  return region.isLabelled ? DEFAULT_SECTOR : undefined;
}

/** Namespaces without labels have 512 bytes, and no file to say so. */
export function hasSectorSize(namespace: Namespace | undefined, size: number): boolean {
  return namespace?.kind === "pmem" && PMEM_SECTOR_SIZES.some((one) => one === size);
}
