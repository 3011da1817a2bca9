// `ndctl create-namespace` and `destroy-namespace`: the steps that the programs take through sysfs, one after the other, so that another
// administrator may come in between. Kernel counterpart: none, this is ndctl/namespace.c.
import { alignUp, isAligned, KernelError, MiB, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import { maxAvailableExtent } from "../devices/capacity.ts";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { bindClaim, bindNamespace } from "../drivers/bind.ts";
import {
  storeAltName,
  storeHolderClass,
  storeSectorSize,
  storeSize,
  storeUuid,
} from "../drivers/configure.ts";
import {
  storeClaimAlign,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimSectorSize,
  storeClaimUuid,
} from "../drivers/configure-claim.ts";
import { destroyContents, disableForReconfig } from "./destroy-namespace.ts";
import { enableLabels } from "./enable-labels.ts";

export type NamespaceMode = "raw" | "fsdax" | "devdax" | "sector";
/** Where struct pages lie: in RAM, or in the namespace. */
export type MapLocation = "mem" | "dev";

export interface CreateNamespaceOptions {
  /** `-m`; default fsdax. */
  readonly mode?: NamespaceMode;
  /** `-s`: bytes; default all that is free in one piece. */
  readonly size?: number;
  /** `-a`: bytes; default 2 MiB for fsdax and devdax. */
  readonly align?: number;
  /** `-M`; default dev. */
  readonly map?: MapLocation;
  /** `-l`: bytes of a sector; default 512, or 4096 for sector mode. */
  readonly sectorSize?: number;
  /** `-n`. */
  readonly name?: string;
  /** `-u`; default a new one. */
  readonly uuid?: string;
  /** `-f`: also where it is active, or begins off a multiple of 16 MiB. */
  readonly force?: boolean;
  /** `--no-autolabel` is false: a namespace without labels stays without. */
  readonly autolabel?: boolean;
}

interface Plan {
  readonly mode: NamespaceMode;
  readonly size: number;
  readonly align: number;
  readonly map: MapLocation;
  readonly sectorSize: number | undefined;
  readonly name: string;
  readonly uuid: string;
  readonly force: boolean;
}

const DEFAULT_ALIGN = 2 * MiB;
/** What every architecture can map. @see check_dax_align() */
const CROSS_ARCH_ALIGN = 16 * MiB;
const HOLDER_CLASSES = { raw: "", fsdax: "pfn", devdax: "dax", sector: "btt" } as const;

/**
 * Makes a namespace in the first of these regions that has room.
 *
 * @throws KernelError ENOSPC when none has, EINVAL for a size or alignment that doesn't fit, and what enabling it throws; then nothing
 * is left of it
 * @see `ndctl create-namespace`
 */
export function* createNamespace(
  bus: NvdimmBus,
  regions: readonly Region[],
  options: CreateNamespaceOptions = {},
): Sleeps<Namespace> {
  for (const region of regions) {
    if (region.driver === undefined || region.readOnly) continue;
    const free = maxAvailableExtent(region);
    const plan = planFor(bus, region, options, options.size ?? free);
    const namespace = freeNamespace(region);
    // Without labels there is only all of it, whatever was asked for.
    if (!namespace || (region.isLabelled && (free === 0 || plan.size > free))) continue;
    try {
      yield* setupNamespace(namespace, plan);
    } catch (error) {
      yield* recover(namespace);
      throw error;
    }
    return namespace;
  }
  throw new KernelError("ENOSPC", "no region has room for this namespace: destroy one, or ask for less");
}

/**
 * Destroys a namespace and makes it anew with other settings, of the same size unless another is asked for. Without labels it is given
 * some, where all of its modules can have them.
 *
 * @returns the namespace that is there now
 * @throws KernelError EBUSY when it is active and `force` wasn't said, or mounted; EINVAL, ENOSPC and what enabling throws: then it is
 * left disabled, and raw
 * @see `ndctl create-namespace -e`
 */
export function* reconfigureNamespace(
  victim: Namespace,
  options: CreateNamespaceOptions = {},
): Sleeps<Namespace> {
  const { region } = victim;
  const former = settingsOf(victim);
  const plan = planFor(region.bus, region, { ...former, ...options }, options.size ?? victim.size);
  yield* disableForReconfig(victim, options.force ?? false);
  yield* destroyContents(victim);
  let namespace = victim;
  if (victim.kind === "pmem") yield* storeSize(victim, 0);
  else if (options.autolabel ?? true) yield* enableLabels(region);
  namespace = freeNamespace(region) ?? victim;
  yield* setupNamespace(namespace, plan);
  return namespace;
}

/** What stays when nothing else is asked for. */
function settingsOf({ claim, altName }: Namespace): CreateNamespaceOptions {
  const modes = { btt: "sector", pfn: "fsdax", dax: "devdax" } as const;
  return {
    ...(claim && { mode: modes[claim.kind] }),
    ...(claim && claim.kind !== "btt" && { align: claim.align, map: claim.mode === "ram" ? "mem" : "dev" }),
    ...(claim?.kind === "btt" && claim.sectorSize > 0 && { sectorSize: claim.sectorSize }),
    ...(altName !== "" && { name: altName }),
  };
}

/** @see validate_namespace_options() */
function planFor(bus: NvdimmBus, region: Region, options: CreateNamespaceOptions, size: number): Plan {
  const { mode = "fsdax", map = "dev", name = "", uuid = bus.newUuid(), force = false } = options;
  const mapped = mode === "fsdax" || mode === "devdax";
  if (options.align !== undefined && !mapped)
    throw new KernelError("EINVAL", `${mode} mode does not support setting an alignment`);
  const align = mapped ? (options.align ?? DEFAULT_ALIGN) : 4096;
  const unit = Math.max(align, 4096) * Math.max(1, region.mappings.length);
  if (options.size !== undefined && !isAligned(size, unit)) {
    throw new KernelError(
      "EINVAL",
      `'--size=' must align to interleave-width: ${Math.max(1, region.mappings.length)} and alignment: ${align}; did you intend --size=${alignUp(size, unit)}?`,
    );
  }
  const sectorSize = options.sectorSize ?? (mode === "sector" ? 4096 : undefined);
  return { mode, size, align, map, sectorSize, name, uuid, force };
}

/** The first namespace of the region when it is idle, else its seed. @see region_get_namespace() */
function freeNamespace(region: Region): Namespace | undefined {
  const first = region.namespaces.get(0);
  const idle = [first, region.namespaceSeed].find(
    (one) => one && one.driver === undefined && !one.claim && (one.kind === "io" || one.size === 0),
  );
  return idle;
}

/** @see setup_namespace() */
function* setupNamespace(namespace: Namespace, plan: Plan): Sleeps<void> {
  const { region } = namespace;
  if (namespace.kind === "pmem") {
    yield* storeUuid(namespace, plan.uuid);
    yield* storeAltName(namespace, plan.name);
    yield* storeSize(namespace, plan.size);
    if (plan.sectorSize !== undefined && plan.mode !== "sector")
      yield* storeSectorSize(namespace, plan.sectorSize);
  }
  yield* storeHolderClass(namespace, HOLDER_CLASSES[plan.mode]);
  if (plan.mode === "raw") return yield* bindNamespace(namespace);
  if (plan.mode !== "sector") expectCrossArch(namespace, plan.force);
  const claim = region.claimSeeds[({ fsdax: "pfn", devdax: "dax", sector: "btt" } as const)[plan.mode]];
  if (!claim) throw new KernelError("ENODEV", `${region.name} is disabled: enable it first`);
  try {
    yield* configureClaim(claim, namespace, plan);
    yield* bindClaim(claim);
  } catch (error) {
    if (claim.namespace === namespace && claim.driver === undefined) yield* storeClaimNamespace(claim, "");
    throw error;
  }
}

function* configureClaim(claim: Claim, namespace: Namespace, plan: Plan): Sleeps<void> {
  yield* storeClaimUuid(claim, namespace.region.bus.newUuid());
  if (claim.kind === "btt") {
    yield* storeClaimSectorSize(claim, plan.sectorSize ?? 4096);
  } else {
    yield* storeClaimMode(claim, plan.map === "mem" ? "ram" : "pmem");
    yield* storeClaimAlign(claim, plan.align);
  }
  yield* storeClaimNamespace(claim, namespace.name);
}

/** @see check_dax_align() */
function expectCrossArch({ name, range }: Namespace, force: boolean): void {
  if (force || isAligned(range.start, CROSS_ARCH_ALIGN)) return;
  throw new KernelError("EINVAL", `${name} misaligned to 16M, adjust region alignment and retry`);
}

/** Nothing is left of a namespace that couldn't be enabled. */
function* recover(namespace: Namespace): Sleeps<void> {
  if (namespace.gone || namespace.driver !== undefined || namespace.claim) return;
  try {
    yield* storeHolderClass(namespace, "");
    if (namespace.uuid !== undefined) yield* storeSize(namespace, 0);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
