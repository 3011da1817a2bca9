// The drivers of regions and of modules. Enabling a region registers and enables the namespaces on the media;
// disabling removes the devices and leaves the media unchanged. Kernel counterpart: drivers/nvdimm/region.c, dimm.c,
// nd_region_register_namespaces().
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { type Claim, CLAIM_KINDS, unregisterClaim } from "../devices/claim.ts";
import { expectUnbound, withDeviceLock } from "../devices/device.ts";
import { type Nvdimm, probeDimm, removeDimm } from "../devices/dimm.ts";
import { Namespace } from "../devices/namespace.ts";
import type { NvdimmBus } from "../devices/bus.ts";
import type { Region } from "../devices/region.ts";
import { Badblocks, populateBadblocks } from "../errors/badblocks.ts";
import { scanLabels } from "../labels/scan-labels.ts";
import { unlockDimm } from "../security/dimm-security.ts";
import { bindNamespace, createClaimSeeds, removeClaimDriver, removeNamespaceDriver } from "./bind.ts";

/**
 * Enables a module and reads its labels. A locked module is unlocked first, if the keyring has its passphrase.
 *
 * @throws KernelError EBUSY when it is enabled, or when two labels claim the same addresses
 */
export function* enableDimm(bus: NvdimmBus, dimm: Nvdimm): Sleeps<void> {
  yield* withDeviceLock(dimm, function* () {
    expectUnbound(dimm);
    yield* bus.probing(function* () {
      yield* bus.locked(() => {
        unlockDimm(bus, dimm);
        probeDimm(dimm);
      });
    });
    dimm.driver = "nvdimm";
    dimm.uevent("bind");
  });
}

/** Disables a module. Enabled regions stay usable, but sizes of namespaces can't be changed. */
export function* disableDimm(bus: NvdimmBus, dimm: Nvdimm): Sleeps<void> {
  yield* withDeviceLock(dimm, function* () {
    yield* bus.locked(() => removeDimm(dimm));
    dimm.driver = undefined;
    dimm.uevent("unbind");
  });
}

/**
 * Enables a region, then its namespaces. A namespace that can't be enabled stays disabled, and the log says why.
 *
 * @throws KernelError EBUSY when it is enabled or a module is being overwritten, ENXIO when a module is disabled or
 * locked, ENODEV when labels are inconsistent
 * @see nd_region_probe()
 */
export function* enableRegion(region: Region): Sleeps<void> {
  const namespaces = yield* withDeviceLock(region, function* () {
    expectUnbound(region);
    return yield* region.bus.probing(() => probeRegion(region));
  });
  for (const namespace of namespaces) yield* bindQuietly(namespace);
}

/**
 * Disables a region and all its devices. Waits for users of its pages with the region's device lock held.
 *
 * @see nd_region_remove()
 */
export function* disableRegion(region: Region): Sleeps<void> {
  yield* withDeviceLock(region, function* () {
    if (region.driver === undefined) return;
    // A probe in progress may add claims or namespaces until it drops its device lock.
    while (region.claims.size + region.namespaces.size > 0) {
      for (const claim of region.claims.values()) yield* removeClaim(claim);
      for (const namespace of region.namespaces.values()) yield* removeNamespace(namespace);
    }
    yield* region.bus.locked(() => {
      region.namespaceSeed = undefined;
      for (const kind of CLAIM_KINDS) delete region.claimSeeds[kind];
      region.initNamespaces = undefined;
      deactivate(region);
      region.driver = undefined;
    });
    region.uevent("unbind");
  });
}

function* probeRegion(region: Region): Sleeps<Namespace[]> {
  return yield* region.bus.locked(() => {
    activate(region);
    let namespaces: Namespace[];
    try {
      namespaces = region.isLabelled ? scanLabels(region) : [new Namespace(region, "io", 0)];
    } catch (error) {
      deactivate(region);
      throw error;
    }
    region.badblocks = new Badblocks();
    populateBadblocks(region.badblocks, region.bus.badrange, region);
    for (const namespace of namespaces) {
      region.namespaces.set(namespace.id, namespace);
      namespace.uevent("add");
    }
    region.namespaceSeed = namespaces[0];
    region.initNamespaces = { active: namespaces.length, found: namespaces.length };
    createClaimSeeds(region);
    region.driver = "nd_region";
    region.uevent("bind");
    return namespaces;
  });
}

/** @see nd_region_activate(), init_active_labels() */
function activate(region: Region): void {
  for (const { dimm } of region.mappings) {
    if (dimm.overwriting)
      throw new KernelError("EBUSY", `${region.name} can't be used while ${dimm.name} is being overwritten`);
    if (dimm.data || !(dimm.locked || dimm.labeling)) continue;
    region.log(3, `${dimm.name}: is ${dimm.locked ? "locked" : "disabled"}, failing probe`);
    throw new KernelError("ENXIO", `${dimm.name} is ${dimm.locked ? "locked" : "disabled"}: enable it first`);
  }
  const dimms = region.mappings.map(({ dimm }) => dimm).filter(({ data }) => data !== undefined);
  for (const dimm of dimms) dimm.busy++;
  region.activeDimms = dimms;
  region.enabledWithLabels = region.isLabelled;
}

/** @see deactivate_labels() */
function deactivate(region: Region): void {
  for (const dimm of region.activeDimms) dimm.busy--;
  region.activeDimms = [];
  region.enabledWithLabels = undefined;
}

/** Enables a namespace, or leaves it disabled when the bind fails, as at boot. */
function* bindQuietly(namespace: Namespace): Sleeps<void> {
  try {
    yield* bindNamespace(namespace);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

function* removeClaim(claim: Claim): Sleeps<void> {
  yield* claim.lock.lock();
  try {
    yield* removeClaimDriver(claim);
    yield* claim.region.bus.locked(() => unregisterClaim(claim));
  } finally {
    claim.lock.unlock();
  }
}

function* removeNamespace(namespace: Namespace): Sleeps<void> {
  yield* namespace.lock.lock();
  try {
    yield* removeNamespaceDriver(namespace);
    namespace.gone = true;
    namespace.region.namespaces.delete(namespace.id);
    namespace.uevent("remove");
  } finally {
    namespace.lock.unlock();
  }
}
