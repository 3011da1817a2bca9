// `ndctl destroy-namespace`: disables a namespace, wipes its info block, and gives its capacity back where labels allow it. Kernel
// counterpart: none, this is ndctl/namespace.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import { unbindNamespace } from "../drivers/bind.ts";
import { storeHolderClass, storeSize } from "../drivers/configure.ts";
import { INFO_BLOCK_RESERVE } from "../drivers/namespace-io.ts";
import { failure, type NdctlReport, refusal, UNHEARD } from "./report.ts";
import { disableNamespace, enableNamespace, isActive } from "./select.ts";

export interface ReconfigOptions {
  /** `-f`: also an active one is disabled first. */
  readonly force?: boolean;
  readonly report?: NdctlReport;
}

/**
 * @returns whether anything was done: one without labels whose first bytes are zeros is as it was
 * @throws KernelError EBUSY when it is active and `force` wasn't said, when it is mounted, or RAM that is online; ENXIO when the region is
 * read-only, or the first bytes can't be wiped
 * @see `ndctl destroy-namespace`
 */
export function* destroyNamespace(namespace: Namespace, options: ReconfigOptions = {}): Sleeps<boolean> {
  const wiped = yield* prepareReconfig(namespace, options);
  if (namespace.kind === "io") return wiped;
  yield* deleteNamespace(namespace);
  return true;
}

/**
 * Leaves a namespace disabled, meant for nobody, and without an info block.
 *
 * @returns whether there was anything to wipe
 * @throws KernelError as destroyNamespace() does
 * @see namespace_prep_reconfig()
 */
export function* prepareReconfig(
  namespace: Namespace,
  { force = false, report = UNHEARD }: ReconfigOptions,
): Sleeps<boolean> {
  const { name, region } = namespace;
  if (region.readOnly) throw refusal(report, "ENXIO", `${name}: read-only, re-configuration disabled`);
  if (isActive(namespace) && !force)
    throw refusal(report, "EBUSY", `${name} is active, specify --force for re-configuration`);
  yield* disableNamespace(namespace, report);
  yield* setEnforceMode(namespace, "");
  return yield* wipeInfoBlock(namespace, report);
}

/** Takes its capacity back. One that has none already is no error. @see ndctl_namespace_delete() */
export function* deleteNamespace(namespace: Namespace): Sleeps<void> {
  try {
    yield* storeSize(namespace, 0);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === "ENXIO")) throw error;
  }
}

/** Says who it is meant for. Kernels before 4.13 can't be told so, and the program goes on. @see ndctl_namespace_set_enforce_mode() */
export function* setEnforceMode(namespace: Namespace, holderClass: string): Sleeps<void> {
  try {
    yield* storeHolderClass(namespace, holderClass);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/** @see zero_info_block() */
function* wipeInfoBlock(namespace: Namespace, report: NdctlReport): Sleeps<boolean> {
  namespace.forceRaw = true;
  try {
    yield* enableNamespace(namespace, report);
  } catch (error) {
    namespace.forceRaw = false;
    if (!(error instanceof KernelError)) throw error;
    report.failure(`${namespace.name} failed to enable for zeroing, continuing`);
    return false;
  }
  try {
    return yield* zeroFirstBytes(namespace, report);
  } finally {
    namespace.forceRaw = false;
    yield* unbindNamespace(namespace);
  }
}

function* zeroFirstBytes(namespace: Namespace, report: NdctlReport): Sleeps<boolean> {
  const { disk, name } = namespace;
  if (!disk) return false;
  const bytes = new Uint8Array(INFO_BLOCK_RESERVE);
  try {
    yield* disk.read(0, bytes);
    if (bytes.every((byte) => byte === 0)) return false;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    report.failure(`${name}: failed to read info block, continuing`);
  }
  try {
    yield* disk.write(0, new Uint8Array(INFO_BLOCK_RESERVE));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw failure(report, "ENXIO", `${name}: failed to zero info block /dev/${disk.name}`);
  }
  return true;
}
