// Binding and unbinding of drivers, as by writes to `bind` and `unbind`, and creation of the next seed device. Kernel
// counterpart: nvdimm_bus_probe() in drivers/nvdimm/bus.c, nd_region_advance_seeds() in region_devs.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { type Claim, createClaim } from "../devices/claim.ts";
import {
  expectUnbound,
  logFailedProbe,
  type NdDevice,
  type NdDriverName,
  withDeviceLock,
} from "../devices/device.ts";
import { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { probeDax, removeDax } from "./dax-pmem.ts";
import { expectUsable, probeClaimDisk, probeNamespace } from "./nd-pmem.ts";

/**
 * Enables a namespace. A raw namespace becomes a disk. One with an info block is claimed, and its claim is enabled.
 *
 * @throws KernelError EBUSY when it is enabled, ENXIO when it is claimed, EACCES when a module is locked, ENODEV when
 * it has no size, EOPNOTSUPP for an unusable info block
 */
export function* bindNamespace(namespace: Namespace): Sleeps<void> {
  const { region } = namespace;
  const claim = yield* withDeviceLock(namespace, () =>
    probeDevice(region, namespace, "nd_pmem", function* () {
      const found = yield* probeNamespace(namespace);
      return found;
    }),
  );
  if (claim) yield* bindClaim(claim);
}

/** Disables a namespace that is a disk; a claimed one is left alone. Waits for requests in progress. */
export function* unbindNamespace(namespace: Namespace): Sleeps<void> {
  yield* withDeviceLock(namespace, () => removeNamespaceDriver(namespace));
}

/**
 * Enables a btt, pfn or dax.
 *
 * @throws KernelError EBUSY when it or its namespace is enabled, ENODEV without a namespace, EACCES when a module is
 * locked, and errors of the driver's probe
 */
export function* bindClaim(claim: Claim): Sleeps<void> {
  const driver = claim.kind === "dax" ? "dax_pmem" : "nd_pmem";
  yield* withDeviceLock(claim, () =>
    probeDevice(claim.region, claim, driver, function* () {
      const { namespace } = claim;
      if (!namespace) throw new KernelError("ENODEV", `${claim.name} has no namespace: give it one`);
      yield* namespace.lock.lock(); // waits for a bind or unbind of the namespace in progress
      namespace.lock.unlock();
      expectUnbound(namespace);
      expectUsable(namespace);
      if (claim.kind === "dax") yield* probeDax(claim, namespace);
      else yield* probeClaimDisk(claim, namespace);
      return undefined;
    }),
  );
}

/** Disables a btt, pfn or dax, which keeps its namespace. Waits for users of its pages. */
export function* unbindClaim(claim: Claim): Sleeps<void> {
  yield* withDeviceLock(claim, () => removeClaimDriver(claim));
}

/** unbindNamespace() with the device lock held. @see nd_pmem_remove() */
export function* removeNamespaceDriver(namespace: Namespace): Sleeps<void> {
  if (!namespace.disk) return;
  yield* namespace.disk.remove();
  namespace.disk = undefined;
  unbound(namespace);
}

/** unbindClaim() with the device lock held. */
export function* removeClaimDriver(claim: Claim): Sleeps<void> {
  if (claim.driver === undefined) return;
  if (claim.disk) yield* claim.disk.remove();
  claim.disk = undefined;
  yield* removeDax(claim);
  unbound(claim);
}

/** Creates the seed claims of a region at its probe, one of each kind. */
export function createClaimSeeds(region: Region): void {
  for (const kind of region.bus.claimKinds) region.claimSeeds[kind] = createClaim(region, kind);
}

/**
 * Runs a driver's probe. When the seed becomes active, a new seed is created.
 *
 * @see nvdimm_bus_probe()
 */
function* probeDevice(
  region: Region,
  device: Namespace | Claim,
  driver: NdDriverName,
  probe: () => Sleeps<Claim | undefined>,
): Sleeps<Claim | undefined> {
  expectUnbound(device);
  return yield* region.bus.probing(function* () {
    device.probing = driver;
    try {
      const claim = yield* probe();
      if (claim) return claim;
      device.driver = driver;
      device.uevent("bind");
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      logFailedProbe(device, driver, error);
      if (error.errno === "EOPNOTSUPP") yield* advanceSeeds(region, device);
      throw error;
    } finally {
      device.probing = undefined;
    }
    yield* advanceSeeds(region, device);
    return undefined;
  });
}

/** @see nd_region_advance_seeds() */
function* advanceSeeds(region: Region, device: Namespace | Claim): Sleeps<void> {
  yield* region.bus.locked(() => {
    const namespace = device instanceof Namespace ? device : device.namespace;
    if (!(device instanceof Namespace) && device.isSeed)
      region.claimSeeds[device.kind] = createClaim(region, device.kind);
    if (namespace && region.namespaceSeed === namespace && region.isLabelled) createNamespaceSeed(region);
  });
}

/** @see nd_region_create_ns_seed() */
function createNamespaceSeed(region: Region): void {
  const seed = new Namespace(region, "pmem", region.nextNamespaceId());
  region.namespaces.set(seed.id, seed);
  region.namespaceSeed = seed;
  seed.uevent("add");
}

function unbound(device: NdDevice): void {
  device.driver = undefined;
  device.uevent("unbind");
}
