// `ndctl create-namespace`: the steps that the program takes through sysfs, one after the other, so that another administrator may come
// in between. User space counterpart: namespace_create(), namespace_reconfig() and setup_namespace() in ndctl/namespace.c.
import { isAligned, KernelError, MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { attribute, numberIn, refusalOf, writeAttribute } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import { deleteNamespace, prepareReconfig, setEnforceMode } from "./destroy-namespace.ts";
import {
  claimSeed,
  isActive,
  type NdClaim,
  namespaceSeed,
  namespacesIn,
  type NdNamespace,
  type NdRegion,
} from "./devices.ts";
import { enableClaim, enableNamespace, setClaimNamespace } from "./enable.ts";
import { enableLabels } from "./enable-labels.ts";
import { claimFacts, isLabelled, type NamespaceFacts, namespaceFacts, regionFacts } from "./facts.ts";
import {
  claimKindOf,
  type CreateNamespaceOptions,
  modeOf,
  type NamespacePlan,
  type PlanFacts,
  planNamespace,
} from "./namespace-options.ts";
import { failedStep, refusal } from "./report.ts";

/** Alignment, in bytes, that every architecture can map. @see check_dax_align() */
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
  context: NdctlContext,
  regions: readonly NdRegion[],
  options: CreateNamespaceOptions = {},
): Sleeps<NdNamespace> {
  for (const region of regions) {
    try {
      return yield* createInRegion(context, region, options);
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
export function* createInRegion(
  context: NdctlContext,
  region: NdRegion,
  options: CreateNamespaceOptions,
): Sleeps<NdNamespace> {
  const uuid = options.uuid ?? context.nodes.newUuid();
  const facts = yield* planFacts(context, region, options);
  const plan = planNamespace(facts, options, uuid, context.report);
  if (facts.region.readOnly) throw new KernelError("EAGAIN", `${region.name} is read-only`);
  const namespace = yield* nextNamespace(context, region);
  if (!namespace || !(yield* isConfigurationIdle(context, namespace)))
    throw new KernelError("EAGAIN", `${region.name} has no namespace that could be configured next`);
  try {
    yield* setupNamespace(context, namespace, plan, options);
  } catch (error) {
    if (error instanceof KernelError && (options.autorecover ?? true)) yield* recover(context, namespace);
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
  context: NdctlContext,
  victim: NdNamespace,
  options: CreateNamespaceOptions = {},
): Sleeps<NdNamespace> {
  const { region } = victim;
  const uuid = options.uuid ?? context.nodes.newUuid();
  const former = yield* namespaceFacts(context, victim);
  const facts = yield* planFacts(context, region, options, former);
  const plan = planNamespace(facts, options, uuid, context.report);
  yield* prepareReconfig(context, victim, options);
  let namespace = victim;
  const wantsLabels = (options.autolabel ?? true) && !(yield* isLabelled(context, region));
  if (wantsLabels && (yield* enableLabels(context, region))) {
    const next = yield* nextNamespace(context, region);
    if (!next || !(yield* isConfigurationIdle(context, next)))
      throw new KernelError("ENODEV", `the modules of ${region.name} can't have labels: say --no-autolabel`);
    namespace = next;
  }
  yield* setupNamespace(context, namespace, plan, options);
  return namespace;
}

function* planFacts(
  context: NdctlContext,
  region: NdRegion,
  options: CreateNamespaceOptions,
  former?: NamespaceFacts,
): Sleeps<PlanFacts> {
  const mode = modeOf(options, former);
  const kind = claimKindOf(mode);
  const claim = kind && (yield* claimSeed(context, region, kind));
  const namespace = former ? undefined : yield* namespaceSeed(context, region);
  return {
    region: yield* regionFacts(context, region),
    mode,
    claimSeed: claim && (yield* claimFacts(context, claim)),
    namespaceSeed: namespace && (yield* namespaceFacts(context, namespace)),
    former,
  };
}

/** The first namespace of the region when it is idle, else its seed. @see region_get_namespace() */
function* nextNamespace(context: NdctlContext, region: NdRegion): Sleeps<NdNamespace | undefined> {
  const first = namespacesIn(context, region).find(({ id }) => id === 0);
  return first && (yield* isConfigurationIdle(context, first))
    ? first
    : yield* namespaceSeed(context, region);
}

/** @see ndctl_namespace_is_configuration_idle() */
function* isConfigurationIdle(context: NdctlContext, namespace: NdNamespace): Sleeps<boolean> {
  if (yield* isActive(context, namespace)) return false;
  const { path, region } = namespace;
  if (!(yield* isLabelled(context, region))) return true;
  const size = (yield* numberIn(context, `${path}/size`)) ?? 0;
  return size < NAMESPACE_SIZE_MIN || !(yield* attribute(context, `${path}/uuid`));
}

/** @see setup_namespace() */
function* setupNamespace(
  context: NdctlContext,
  namespace: NdNamespace,
  plan: NamespacePlan,
  options: CreateNamespaceOptions,
): Sleeps<void> {
  const { name } = namespace;
  const { mode, sectorSize } = plan;
  const facts = yield* namespaceFacts(context, namespace);
  if (facts.kind === "pmem") {
    yield* set(context, namespace, "uuid", plan.uuid);
    yield* set(context, namespace, "alt_name", plan.name);
    yield* set(context, namespace, "size", hex(plan.size));
  }
  if (sectorSize !== undefined && facts.sectorSize.supported.includes(sectorSize))
    yield* set(context, namespace, "sector_size", `${sectorSize}`);
  else if (sectorSize !== undefined && mode !== "sector" && sectorSize !== 512)
    throw refusal(context.report, "EINVAL", `${name}: sector_size: ${sectorSize} not supported`);
  yield* setEnforceMode(context, namespace, HOLDER_CLASSES[mode]);
  if (mode === "raw") return yield* orFailedToEnable(context, name, enableNamespace(context, namespace));
  yield* setupClaim(context, namespace, plan, options);
}

function* setupClaim(
  context: NdctlContext,
  namespace: NdNamespace,
  plan: NamespacePlan,
  options: CreateNamespaceOptions,
): Sleeps<void> {
  const { name, region } = namespace;
  const kind = claimKindOf(plan.mode);
  const claim = kind && (yield* claimSeed(context, region, kind));
  if (!claim) throw new KernelError("ENXIO", `${region.name} is disabled: enable it first`);
  if (claim.kind !== "btt") yield* expectCrossArch(context, namespace, options);
  yield* configureClaim(context, claim, namespace, plan);
  try {
    yield* orFailedToEnable(context, name, enableClaim(context, claim));
  } catch (error) {
    const letsGo = (options.autorecover ?? true) && claim.kind !== "btt";
    if (error instanceof KernelError && letsGo) yield* refusalOf(context, `${claim.path}/namespace`, "\n");
    throw error;
  }
}

function* configureClaim(
  context: NdctlContext,
  claim: NdClaim,
  namespace: NdNamespace,
  plan: NamespacePlan,
): Sleeps<void> {
  yield* set(context, claim, "uuid", context.nodes.newUuid());
  if (claim.kind === "btt") {
    yield* set(context, claim, "sector_size", `${plan.sectorSize ?? BTT_SECTOR}`);
  } else {
    yield* set(context, claim, "mode", plan.map === "mem" ? "ram" : "pmem");
    yield* set(context, claim, "align", hex(plan.align));
  }
  yield* attempt(context, claim.name, "namespace", setClaimNamespace(context, claim, namespace.name));
}

/** @see check_dax_align() */
function* expectCrossArch(
  context: NdctlContext,
  namespace: NdNamespace,
  { force = false }: CreateNamespaceOptions,
): Sleeps<void> {
  const { start = 0 } = yield* namespaceFacts(context, namespace);
  if (force || isAligned(start, CROSS_ARCH_ALIGN)) return;
  throw refusal(
    context.report,
    "EINVAL",
    `${namespace.name} misaligned to 16M, adjust region alignment and retry`,
  );
}

/** Nothing is left of a namespace that couldn't be enabled, unless a btt has it. */
function* recover(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  yield* setEnforceMode(context, namespace, "");
  try {
    yield* deleteNamespace(context, namespace);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/** Names of setters of the library, for files that are called otherwise. */
const SETTERS: Readonly<Record<string, string>> = { mode: "location" };

/** Writes a file of a device. A refusal is reported. @see try() in ndctl/namespace.c */
function* set(
  context: NdctlContext,
  { name, path }: NdNamespace | NdClaim,
  file: string,
  value: string,
): Sleeps<void> {
  yield* attempt(
    context,
    name,
    SETTERS[file] ?? file,
    writeAttribute(context, `${path}/${file}`, `${value}\n`),
  );
}

function* attempt({ report }: NdctlContext, device: string, what: string, write: Sleeps<void>): Sleeps<void> {
  try {
    yield* write;
  } catch (error) {
    throw error instanceof KernelError ? failedStep(report, device, `set_${what}`, error) : error;
  }
}

function* orFailedToEnable({ report }: NdctlContext, name: string, enable: Sleeps<void>): Sleeps<void> {
  try {
    yield* enable;
  } catch (error) {
    if (error instanceof KernelError) report.error(`${name}: failed to enable`);
    throw error;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
