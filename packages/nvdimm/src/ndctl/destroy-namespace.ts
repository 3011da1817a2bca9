// `ndctl destroy-namespace`: disables a namespace, wipes its info block, and gives its capacity back where labels allow it. Kernel
// counterpart: none, this is ndctl/namespace.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import { bindNamespace, unbindNamespace } from "../drivers/bind.ts";
import { storeHolderClass, storeSize } from "../drivers/configure.ts";
import { INFO_BLOCK_RESERVE } from "../drivers/namespace-io.ts";
import { disableNamespace, isActive } from "./select.ts";

/**
 * @param options `force`: also an active one is disabled first
 * @returns whether its capacity is free now: not without labels
 * @throws KernelError EBUSY when it is active and `force` wasn't said, or mounted; ENXIO when the region is read-only
 * @see `ndctl destroy-namespace`
 */
export function* destroyNamespace(
  namespace: Namespace,
  options: { readonly force?: boolean } = {},
): Sleeps<boolean> {
  yield* disableForReconfig(namespace, options.force ?? false);
  yield* destroyContents(namespace);
  if (namespace.kind === "io") return false;
  if (namespace.uuid !== undefined) yield* storeSize(namespace, 0);
  return true;
}

/** @see namespace_prep_reconfig() */
export function* disableForReconfig(namespace: Namespace, force: boolean): Sleeps<void> {
  if (namespace.region.readOnly)
    throw new KernelError("ENXIO", `${namespace.region.name} is read-only, re-configuration disabled`);
  if (isActive(namespace) && !force)
    throw new KernelError("EBUSY", `${namespace.name} is active, specify --force for re-configuration`);
  yield* disableNamespace(namespace);
}

/** Nobody is meant to have it any more, and nothing on the media says otherwise. @see zero_info_block() */
export function* destroyContents(namespace: Namespace): Sleeps<void> {
  yield* storeHolderClass(namespace, "");
  if (namespace.size < INFO_BLOCK_RESERVE) return;
  namespace.forceRaw = true;
  try {
    yield* bindNamespace(namespace);
    try {
      yield* namespace.disk?.write(0, new Uint8Array(INFO_BLOCK_RESERVE)) ?? nothing();
    } finally {
      yield* unbindNamespace(namespace);
    }
  } finally {
    namespace.forceRaw = false;
  }
}

function* nothing(): Sleeps<void> {}
