// Enabling and disabling devices: writes to `bind` and `unbind`, after a look at the users of a namespace. User space
// counterpart: ndctl_namespace_enable(), ndctl_namespace_disable_safe() and their like in ndctl/lib/libndctl.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { daxDevices } from "../libdaxctl/library.ts";
import { countOnline, memoryOf } from "../libdaxctl/memory.ts";
import { namesIn, refusalOf, writeAttribute } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import {
  diskOf,
  holderOf,
  isActive,
  isEnabled,
  type NdBus,
  namespacesIn,
  type NdClaim,
  type NdDimm,
  type NdNamespace,
  type NdRegion,
} from "./devices.ts";

interface BusDevice {
  readonly name: string;
  readonly path: string;
  readonly bus: NdBus;
}

/**
 * Enables a namespace, or the device that claims it by its info block. One that is enabled stays so.
 *
 * @throws KernelError ENXIO, whatever the kernel refused with
 * @see `ndctl enable-namespace`, ndctl_namespace_enable()
 */
export function* enableNamespace(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  if (yield* isActive(context, namespace)) return;
  const refused = yield* bind(context, namespace);
  if (!(yield* isActive(context, namespace)))
    throw notEnabled(context, "ndctl_namespace_enable", namespace, refused);
}

/** Enables a btt, pfn or dax. @throws KernelError ENXIO, whatever the kernel refused with @see ndctl_pfn_enable() */
export function* enableClaim(context: NdctlContext, claim: NdClaim): Sleeps<void> {
  yield* enable(context, claim, `ndctl_${claim.kind}_enable`);
}

/** Enables a region. One that is enabled stays so. @throws KernelError ENXIO, whatever the kernel refused with @see `ndctl enable-region` */
export function* enableRegion(context: NdctlContext, region: NdRegion): Sleeps<void> {
  yield* enable(context, region, "ndctl_region_enable");
}

/** Enables a module. One that is enabled stays so. @throws KernelError ENXIO, whatever the kernel refused with @see ndctl_dimm_enable() */
export function* enableDimm(context: NdctlContext, dimm: NdDimm): Sleeps<void> {
  yield* enable(context, dimm, "ndctl_dimm_enable");
}

/**
 * Disables a namespace, and takes it from the device that claims it. One that is disabled stays so. Memory that is online as RAM is left
 * alone: the kernel would take the device away from under it, and could never remove it any more.
 *
 * @throws KernelError EBUSY when a file system is mounted from it, or a part of it is RAM that is online
 * @see `ndctl disable-namespace`, ndctl_namespace_disable_safe()
 */
export function* disableNamespace(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  yield* checkDisable(context, namespace);
  yield* disableInvalidate(context, namespace);
}

/** Disables a namespace without a look at its users. @see ndctl_namespace_disable_invalidate() */
export function* disableInvalidate(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  const claim = yield* holderOf(context, namespace);
  if (claim) {
    yield* disable(context, claim, `ndctl_${claim.kind}_delete`);
    yield* setClaimNamespace(context, claim, "");
  }
  yield* disable(context, namespace, "ndctl_namespace_disable");
}

/** @throws KernelError EBUSY as disableNamespace() does */
export function* checkDisable(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  const { nodes, report } = context;
  const { name } = namespace;
  const caller = "ndctl_namespace_disable_safe";
  const claim = yield* holderOf(context, namespace);
  const disk = diskOf(context, claim ?? namespace);
  if (disk !== undefined) {
    try {
      nodes.openExclusive(`/dev/${disk}`);
    } catch (error) {
      if (error instanceof KernelError)
        report.debug(caller, `${name}: ${disk} failed exclusive open: ${strerror(error.errno)}`);
      throw error;
    }
  } else if (claim?.kind === "dax" && (yield* hasOnlineMemory(context, claim))) {
    report.debug(caller, `${name}: active as system-ram, refusing to disable`);
    throw new KernelError(
      "EBUSY",
      `${name} is RAM that is online: take it offline first (daxctl reconfigure-device -f -m devdax)`,
    );
  }
}

/**
 * Disables a region with all of its namespaces.
 *
 * @throws KernelError EBUSY when a file system is mounted from one of them, or a part of one is RAM that is online; those before it are
 * disabled then
 * @see `ndctl disable-region`
 */
export function* disableRegion(context: NdctlContext, region: NdRegion): Sleeps<void> {
  if (!(yield* isEnabled(context, region))) return;
  for (const namespace of namespacesIn(context, region)) yield* disableNamespace(context, namespace);
  yield* disableRegionInvalidate(context, region);
}

/** Disables a region without a look at users of its namespaces. @see ndctl_region_disable_invalidate() */
export function* disableRegionInvalidate(context: NdctlContext, region: NdRegion): Sleeps<void> {
  yield* disable(context, region, "ndctl_region_disable");
}

/** @throws KernelError EBUSY when it stays enabled @see ndctl_dimm_disable() */
export function* disableDimm(context: NdctlContext, dimm: NdDimm): Sleeps<void> {
  yield* disable(context, dimm, "ndctl_dimm_disable");
}

/** Gives a namespace to a claim, or with an empty name takes it away. @see ndctl_pfn_set_namespace() */
export function* setClaimNamespace(context: NdctlContext, claim: NdClaim, name: string): Sleeps<void> {
  yield* writeAttribute(context, `${claim.path}/namespace`, `${name}\n`);
}

/** @see ndctl_dax_has_active_memory() */
function* hasOnlineMemory(context: NdctlContext, { path }: NdClaim): Sleeps<boolean> {
  for (const device of yield* daxDevices(context)) {
    if (device.region.path !== path) continue;
    const memory = yield* memoryOf(context, device);
    if (memory && (yield* countOnline(context, memory)) > 0) return true;
  }
  return false;
}

function* enable(context: NdctlContext, device: BusDevice, caller: string): Sleeps<void> {
  if (yield* isEnabled(context, device)) return;
  const refused = yield* bind(context, device);
  if (!(yield* isEnabled(context, device))) throw notEnabled(context, caller, device, refused);
}

function* disable(context: NdctlContext, device: BusDevice, caller: string): Sleeps<void> {
  if (!(yield* isEnabled(context, device))) return;
  const refused = yield* refusalOf(context, `${device.path}/driver/unbind`, device.name);
  if (!(yield* isEnabled(context, device))) return;
  context.report.library(caller, `${device.name}: failed to disable`);
  throw new KernelError("EBUSY", refused?.reason ?? `${device.name} keeps its driver`);
}

/** Offers a device to each driver of the bus. @returns the refusal of the driver that is for it @see util_bind() */
function* bind(context: NdctlContext, { name }: BusDevice): Sleeps<KernelError | undefined> {
  const refusals: KernelError[] = [];
  for (const driver of namesIn(context, "/sys/bus/nd/drivers")) {
    const refused = yield* refusalOf(context, `/sys/bus/nd/drivers/${driver}/bind`, name);
    if (!refused) return undefined;
    refusals.push(refused);
  }
  // A driver that is not for the device answers ENODEV.
  return refusals.find(({ errno }) => errno !== "ENODEV") ?? refusals.at(-1);
}

/** Why a device is still disabled: the log says more than the kernel's answer. */
function notEnabled(
  { report }: NdctlContext,
  caller: string,
  { name }: BusDevice,
  refused: KernelError | undefined,
): KernelError {
  report.library(caller, `${name}: failed to enable`);
  return new KernelError("ENXIO", refused?.reason ?? `${name} has no driver: dmesg says why`);
}
