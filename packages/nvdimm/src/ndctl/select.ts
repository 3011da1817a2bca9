// What `ndctl` does to devices by name: disabling and enabling them as the program does, which looks first who has them open. Kernel
// counterpart: none, this is ndctl/lib/libndctl.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { bindClaim, bindNamespace, unbindClaim, unbindNamespace } from "../drivers/bind.ts";
import { storeClaimNamespace } from "../drivers/configure-claim.ts";
import { disableRegion, enableRegion } from "../drivers/nd-region.ts";

/** Whether the namespace or what claims it has a driver. @see ndctl_namespace_is_active() */
export function isActive({ driver, claim }: Namespace): boolean {
  return driver !== undefined || claim?.driver !== undefined;
}

/**
 * Enables a namespace, or what claims it. One that is enabled stays so.
 *
 * @returns whether it was disabled
 * @see `ndctl enable-namespace`
 */
export function* enableNamespace(namespace: Namespace): Sleeps<boolean> {
  if (isActive(namespace)) return false;
  if (namespace.claim) yield* bindClaim(namespace.claim);
  else yield* bindNamespace(namespace);
  return true;
}

/**
 * Disables a namespace, and takes it from what claims it. One that is disabled stays so.
 *
 * @returns whether it was enabled
 * @throws KernelError EBUSY when a file system is mounted from it
 * @see `ndctl disable-namespace`, ndctl_namespace_disable_safe()
 */
export function* disableNamespace(namespace: Namespace): Sleeps<boolean> {
  const { claim } = namespace;
  const disk = namespace.disk ?? claim?.disk;
  if (disk?.holder !== undefined)
    throw new KernelError("EBUSY", `${disk.name} is in use by ${disk.holder}: unmount it first`);
  const wasActive = isActive(namespace);
  if (claim) {
    yield* unbindClaim(claim);
    yield* storeClaimNamespace(claim, "");
  } else {
    yield* unbindNamespace(namespace);
  }
  return wasActive;
}

/** Enables a region that is disabled. @returns whether it was @see `ndctl enable-region` */
export function* enableRegionByName(region: Region): Sleeps<boolean> {
  if (region.driver !== undefined) return false;
  yield* enableRegion(region);
  return true;
}

/**
 * Disables a region with all of its namespaces.
 *
 * @returns whether it was enabled
 * @throws KernelError EBUSY when a file system is mounted from one of them
 * @see `ndctl disable-region`
 */
export function* disableRegionByName(region: Region): Sleeps<boolean> {
  if (region.driver === undefined) return false;
  for (const namespace of region.namespaces.values())
    if (isActive(namespace)) yield* disableNamespace(namespace);
  yield* disableRegion(region);
  return true;
}
