// `ndctl create-namespace`: the steps that the program takes through sysfs, one after the other, so that another administrator may come
// in between. Kernel counterpart: none, this is ndctl/namespace.c.
import { isAligned, KernelError, MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { bindClaim } from "../drivers/bind.ts";
import { storeAltName, storeSectorSize, storeSize, storeUuid } from "../drivers/configure.ts";
import {
  storeClaimAlign,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimSectorSize,
  storeClaimUuid,
} from "../drivers/configure-claim.ts";
import { deleteNamespace, prepareReconfig, setEnforceMode } from "./destroy-namespace.ts";
import { enableLabels } from "./enable-labels.ts";
import {
  type CreateNamespaceOptions,
  hasSectorSize,
  type NamespacePlan,
  planNamespace,
  seedOf,
} from "./namespace-options.ts";
import { failedStep, type NdctlReport, refusal, UNHEARD } from "./report.ts";
import { bindOrSay, enableNamespace, isActive } from "./select.ts";

/** What every architecture can map. @see check_dax_align() */
const CROSS_ARCH_ALIGN = 16 * MiB;
/** Sectors of a btt on a namespace that can't have any of its own. */
const BTT_SECTOR = 4096;
const HOLDER_CLASSES = { raw: "", fsdax: "pfn", devdax: "dax", sector: "btt" } as const;
/** Smaller ones count as not configured. @see ND_MIN_NAMESPACE_SIZE */
const NAMESPACE_SIZE_MIN = PAGE_SIZE;

/**
 * Makes a namespace in the first of these regions that has room.
 *
 * @throws KernelError ENOSPC when none has, EINVAL for a size or alignment that doesn't fit, ENXIO when it can't be enabled; then nothing
 * is left of it
 * @see `ndctl create-namespace`
 */
export function* createNamespace(
  regions: readonly Region[],
  options: CreateNamespaceOptions = {},
): Sleeps<Namespace> {
  for (const region of regions) {
    try {
      return yield* createInRegion(region, options);
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === "EAGAIN")) throw error;
    }
  }
  throw new KernelError("ENOSPC", "no region has room for this namespace: destroy one, or ask for less");
}

/**
 * Makes a namespace in this region.
 *
 * @throws KernelError EAGAIN when the region has no room, or can't be written to: another may; and as createNamespace() does
 * @see namespace_create()
 */
export function* createInRegion(region: Region, options: CreateNamespaceOptions): Sleeps<Namespace> {
  const plan = planNamespace(region, options);
  if (region.readOnly) throw new KernelError("EAGAIN", `${region.name} is read-only`);
  const namespace = nextNamespace(region);
  if (!namespace || !isConfigurationIdle(namespace))
    throw new KernelError("EAGAIN", `${region.name} has no namespace that could be configured next`);
  try {
    yield* setupNamespace(namespace, plan, options);
  } catch (error) {
    if (error instanceof KernelError && (options.autorecover ?? true)) yield* recover(namespace);
    throw error;
  }
  return namespace;
}

/**
 * Destroys a namespace and makes it anew with other settings, of the same size unless another is asked for. Without labels it is given
 * some, where all of its modules can have them.
 *
 * @returns the namespace that is there now
 * @throws KernelError EBUSY when it is active and `force` wasn't said, when it is mounted, or RAM that is online; EINVAL and ENXIO for
 * settings that can't be; ENODEV when labels couldn't be given; ENXIO when it can't be enabled: then it is left disabled, and raw
 * @see `ndctl create-namespace -e`, namespace_reconfig()
 */
export function* reconfigureNamespace(
  victim: Namespace,
  options: CreateNamespaceOptions = {},
): Sleeps<Namespace> {
  const { region } = victim;
  const { report = UNHEARD } = options;
  const plan = planNamespace(region, options, victim);
  yield* prepareReconfig(victim, options);
  let namespace: Namespace = victim;
  if (!region.isLabelled && (options.autolabel ?? true) && (yield* enableLabels(region, report))) {
    const next = nextNamespace(region);
    if (!next || !isConfigurationIdle(next))
      throw new KernelError("ENODEV", `the modules of ${region.name} can't have labels: say --no-autolabel`);
    namespace = next;
  }
  yield* setupNamespace(namespace, plan, options);
  return namespace;
}

/** The first namespace of the region when it is idle, else its seed. @see region_get_namespace() */
function nextNamespace(region: Region): Namespace | undefined {
  const first = region.namespaces.get(0);
  return first && isConfigurationIdle(first) ? first : region.namespaceSeed;
}

/** @see ndctl_namespace_is_configuration_idle() */
function isConfigurationIdle(namespace: Namespace): boolean {
  if (isActive(namespace)) return false;
  return namespace.kind === "io" || namespace.size < NAMESPACE_SIZE_MIN || namespace.uuid === undefined;
}

/** @see setup_namespace() */
function* setupNamespace(
  namespace: Namespace,
  plan: NamespacePlan,
  options: CreateNamespaceOptions,
): Sleeps<void> {
  const { report = UNHEARD } = options;
  const { name } = namespace;
  if (namespace.kind === "pmem") {
    yield* attempt(report, name, "set_uuid", storeUuid(namespace, plan.uuid));
    yield* attempt(report, name, "set_alt_name", storeAltName(namespace, plan.name));
    yield* attempt(report, name, "set_size", storeSize(namespace, plan.size));
  }
  const { mode, sectorSize } = plan;
  if (sectorSize !== undefined && hasSectorSize(namespace, sectorSize))
    yield* attempt(report, name, "set_sector_size", storeSectorSize(namespace, sectorSize));
  else if (sectorSize !== undefined && mode !== "sector" && sectorSize !== 512)
    throw refusal(report, "EINVAL", `${name}: sector_size: ${sectorSize} not supported`);
  yield* setEnforceMode(namespace, HOLDER_CLASSES[mode]);
  if (mode === "raw") return yield* orFailedToEnable(report, name, enableNamespace(namespace, report));
  yield* setupClaim(namespace, plan, options);
}

function* setupClaim(
  namespace: Namespace,
  plan: NamespacePlan,
  options: CreateNamespaceOptions,
): Sleeps<void> {
  const { report = UNHEARD, autorecover = true } = options;
  const { name, region } = namespace;
  const claim = seedOf(region, plan.mode);
  if (!claim) throw new KernelError("ENXIO", `${region.name} is disabled: enable it first`);
  if (plan.mode !== "sector") expectCrossArch(namespace, options);
  yield* configureClaim(claim, namespace, plan, report);
  try {
    const caller = `ndctl_${claim.kind}_enable`;
    yield* orFailedToEnable(report, name, bindOrSay(report, caller, claim.name, bindClaim(claim)));
  } catch (error) {
    if (error instanceof KernelError && autorecover && claim.kind !== "btt") yield* letGo(claim);
    throw error;
  }
}

function* configureClaim(
  claim: Claim,
  namespace: Namespace,
  plan: NamespacePlan,
  report: NdctlReport,
): Sleeps<void> {
  const { name } = claim;
  yield* attempt(report, name, "set_uuid", storeClaimUuid(claim, namespace.region.bus.newUuid()));
  if (claim.kind === "btt") {
    const size = plan.sectorSize ?? BTT_SECTOR;
    yield* attempt(report, name, "set_sector_size", storeClaimSectorSize(claim, size));
  } else {
    const mode = plan.map === "mem" ? "ram" : "pmem";
    yield* attempt(report, name, "set_location", storeClaimMode(claim, mode));
    yield* attempt(report, name, "set_align", storeClaimAlign(claim, plan.align));
  }
  yield* attempt(report, name, "set_namespace", storeClaimNamespace(claim, namespace.name));
}

/** @see check_dax_align() */
function expectCrossArch(
  { name, range }: Namespace,
  { force = false, report = UNHEARD }: CreateNamespaceOptions,
): void {
  if (force || isAligned(range.start, CROSS_ARCH_ALIGN)) return;
  throw refusal(report, "EINVAL", `${name} misaligned to 16M, adjust region alignment and retry`);
}

/** Nothing is left of a namespace that couldn't be enabled, unless a btt has it. */
function* recover(namespace: Namespace): Sleeps<void> {
  yield* setEnforceMode(namespace, "");
  try {
    yield* deleteNamespace(namespace);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

function* letGo(claim: Claim): Sleeps<void> {
  try {
    yield* storeClaimNamespace(claim, "");
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/** One write; what it is refused with is said. */
function* attempt(report: NdctlReport, device: string, step: string, write: Sleeps<void>): Sleeps<void> {
  try {
    yield* write;
  } catch (error) {
    throw error instanceof KernelError ? failedStep(report, device, step, error) : error;
  }
}

function* orFailedToEnable(report: NdctlReport, name: string, enable: Sleeps<void>): Sleeps<void> {
  try {
    yield* enable;
  } catch (error) {
    if (error instanceof KernelError) report.error(`${name}: failed to enable`);
    throw error;
  }
}
