// `ndctl destroy-namespace`: disables a namespace, wipes its info block, and gives its capacity back where labels allow it. User space
// counterpart: namespace_destroy() in ndctl/namespace.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { numberIn, refusalOf, writeAttribute } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import { diskOf, isActive, type NdNamespace } from "./devices.ts";
import { disableInvalidate, disableNamespace, enableNamespace } from "./enable.ts";
import { isLabelled } from "./facts.ts";
import { failure, refusal } from "./report.ts";

export interface ReconfigOptions {
  /** `-f`: an active namespace is disabled first. */
  readonly force?: boolean;
}

/** Bytes that hold the info blocks of every personality. */
const INFO_BLOCK_RESERVE = 8192;

/**
 * @returns whether anything was done: a namespace without labels whose first bytes are zeros is left as it is
 * @throws KernelError EBUSY when it is active and `force` wasn't said, when it is mounted, or RAM that is online; ENXIO when the region is
 * read-only, or the first bytes can't be wiped
 * @see `ndctl destroy-namespace`
 */
export function* destroyNamespace(
  context: NdctlContext,
  namespace: NdNamespace,
  options: ReconfigOptions = {},
): Sleeps<boolean> {
  const labelled = yield* isLabelled(context, namespace.region);
  const wiped = yield* prepareReconfig(context, namespace, options);
  if (!labelled) return wiped;
  yield* deleteNamespace(context, namespace);
  return true;
}

/**
 * Leaves a namespace disabled, meant for no personality, and without an info block.
 *
 * @returns whether there was anything to wipe
 * @throws KernelError as destroyNamespace() does
 * @see namespace_prep_reconfig()
 */
export function* prepareReconfig(
  context: NdctlContext,
  namespace: NdNamespace,
  { force = false }: ReconfigOptions,
): Sleeps<boolean> {
  const { report } = context;
  const { name, region } = namespace;
  if ((yield* numberIn(context, `${region.path}/read_only`)) === 1)
    throw refusal(report, "ENXIO", `${name}: read-only, re-configuration disabled`);
  if (!force && (yield* isActive(context, namespace)))
    throw refusal(report, "EBUSY", `${name} is active, specify --force for re-configuration`);
  yield* disableNamespace(context, namespace);
  yield* setEnforceMode(context, namespace, "");
  return yield* wipeInfoBlock(context, namespace);
}

/** Takes its capacity back. One that has none already is no error. @see ndctl_namespace_delete() */
export function* deleteNamespace(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  try {
    yield* writeAttribute(context, `${namespace.path}/size`, "0\n");
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === "ENXIO")) throw error;
  }
}

/** Says which personality it is meant for. Kernels before 4.13 have no such file, and the program goes on. @see ndctl_namespace_set_enforce_mode() */
export function* setEnforceMode(
  context: NdctlContext,
  { path }: NdNamespace,
  holderClass: string,
): Sleeps<void> {
  yield* refusalOf(context, `${path}/holder_class`, `${holderClass}\n`);
}

/** @see zero_info_block() */
function* wipeInfoBlock(context: NdctlContext, namespace: NdNamespace): Sleeps<boolean> {
  yield* setRawMode(context, namespace, "1");
  try {
    yield* enableNamespace(context, namespace);
  } catch (error) {
    yield* setRawMode(context, namespace, "0");
    if (!(error instanceof KernelError)) throw error;
    context.report.failure(`${namespace.name} failed to enable for zeroing, continuing`);
    return false;
  }
  try {
    return yield* zeroFirstBytes(context, namespace);
  } finally {
    yield* setRawMode(context, namespace, "0");
    yield* disableInvalidate(context, namespace);
  }
}

/** @see ndctl_namespace_set_raw_mode() */
function* setRawMode(context: NdctlContext, { path }: NdNamespace, value: "0" | "1"): Sleeps<void> {
  yield* refusalOf(context, `${path}/force_raw`, `${value}\n`);
}

function* zeroFirstBytes(context: NdctlContext, namespace: NdNamespace): Sleeps<boolean> {
  const { nodes, report } = context;
  const { name } = namespace;
  const disk = diskOf(context, namespace);
  if (disk === undefined) return false;
  const device = nodes.openExclusive(`/dev/${disk}`);
  try {
    const bytes = yield* device.read(0, INFO_BLOCK_RESERVE);
    if (bytes.every((byte) => byte === 0)) return false;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    report.failure(`${name}: failed to read info block, continuing`);
  }
  try {
    yield* device.write(0, new Uint8Array(INFO_BLOCK_RESERVE));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw failure(report, "ENXIO", `${name}: failed to zero info block /dev/${disk}`);
  }
  return true;
}
