// What `ndctl` does to devices by name: disabling and enabling them as the program does, which looks first who uses them. Kernel
// counterpart: none, this is ndctl/lib/libndctl.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { bindNamespace, unbindClaim, unbindNamespace } from "../drivers/bind.ts";
import { storeClaimNamespace } from "../drivers/configure-claim.ts";
import { disableRegion, enableRegion } from "../drivers/nd-region.ts";
import { type NdctlReport, UNHEARD } from "./report.ts";

/** Whether the namespace or what claims it has a driver. @see ndctl_namespace_is_active() */
export function isActive({ driver, claim }: Namespace): boolean {
  return claim ? claim.driver !== undefined : driver !== undefined;
}

/**
 * Enables a namespace, or what claims it by its info block. One that is enabled stays so.
 *
 * @throws KernelError ENXIO, whatever the kernel refused with
 * @see `ndctl enable-namespace`, ndctl_namespace_enable()
 */
export function* enableNamespace(namespace: Namespace, report: NdctlReport = UNHEARD): Sleeps<void> {
  if (isActive(namespace)) return;
  yield* bindOrSay(report, "ndctl_namespace_enable", namespace.name, bindNamespace(namespace));
}

/**
 * Disables a namespace, and takes it from what claims it. One that is disabled stays so. Memory that is online as RAM is left alone:
 * the kernel would take the device away from under it, and could never remove it any more.
 *
 * @throws KernelError EBUSY when a file system is mounted from it, or a part of it is RAM that is online
 * @see `ndctl disable-namespace`, ndctl_namespace_disable_safe()
 */
export function* disableNamespace(namespace: Namespace, report: NdctlReport = UNHEARD): Sleeps<void> {
  checkDisable(namespace, report);
  const { claim } = namespace;
  if (claim) {
    yield* unbindClaim(claim);
    yield* storeClaimNamespace(claim, "");
  }
  yield* unbindNamespace(namespace);
}

/** @throws KernelError EBUSY as disableNamespace() does */
export function checkDisable({ claim, disk: own, name }: Namespace, report: NdctlReport): void {
  const caller = "ndctl_namespace_disable_safe";
  const disk = own ?? claim?.disk;
  if (disk?.holder !== undefined) {
    report.debug(caller, `${name}: ${disk.name} failed exclusive open: ${strerror("EBUSY")}`);
    throw new KernelError("EBUSY", `${disk.name} is in use by ${disk.holder}: unmount it first`);
  }
  if (claim?.dax?.mapping.hasOnlineMemory()) {
    report.debug(caller, `${name}: active as system-ram, refusing to disable`);
    throw new KernelError(
      "EBUSY",
      `${name} is RAM that is online: take it offline first (daxctl reconfigure-device -f -m devdax)`,
    );
  }
}

/** Enables a region. One that is enabled stays so. @throws KernelError ENXIO, whatever the kernel refused with @see `ndctl enable-region` */
export function* enableRegionByName(region: Region, report: NdctlReport = UNHEARD): Sleeps<void> {
  if (region.driver !== undefined) return;
  yield* bindOrSay(report, "ndctl_region_enable", region.name, enableRegion(region));
}

/**
 * Disables a region with all of its namespaces.
 *
 * @throws KernelError EBUSY when a file system is mounted from one of them, or a part of one is RAM that is online; those before it are
 * disabled then
 * @see `ndctl disable-region`
 */
export function* disableRegionByName(region: Region, report: NdctlReport = UNHEARD): Sleeps<void> {
  if (region.driver === undefined) return;
  for (const namespace of region.namespaces.values()) yield* disableNamespace(namespace, report);
  yield* disableRegion(region);
}

/** Binds a device; what the kernel refuses with is told by the log, and here by the reason. @see util_bind() */
export function* bindOrSay(
  report: NdctlReport,
  caller: string,
  name: string,
  bind: Sleeps<void>,
): Sleeps<void> {
  try {
    yield* bind;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    report.library(caller, `${name}: failed to enable`);
    throw new KernelError("ENXIO", error.reason);
  }
}
