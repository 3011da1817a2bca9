// Registration of a bus from the firmware's description, orderly shutdown, and power failure. Kernel counterpart:
// acpi_nfit_init() and acpi_nfit_register_regions() in drivers/acpi/nfit/core.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { NvdimmBus } from "../devices/bus.ts";
import { logFailedProbe, type NdDevice, type NdDriverName } from "../devices/device.ts";
import type { Region } from "../devices/region.ts";
import type { NvdimmBusSpec } from "../devices/spec.ts";
import { learnKnown, startScrub } from "../errors/scrub.ts";
import type { PersistenceDomain } from "../media/media-pages.ts";
import { mediaOf } from "./media-io.ts";
import { disableDimm, disableRegion, enableDimm, enableRegion } from "./nd-region.ts";

/**
 * Registers a bus: enables modules and regions with their namespaces, and imports the firmware's list of errors.
 * Requests a long scrub, which `runNfitWork()` performs. Devices that can't be enabled stay disabled, and the log
 * says why.
 *
 * @returns the bus
 */
export function* registerNvdimmBus(spec: NvdimmBusSpec): Sleeps<NvdimmBus> {
  const bus = new NvdimmBus(spec);
  bus.kernel.uevents.send("add", bus.path, "nd");
  for (const region of bus.regions)
    bus.mappings.attach({ start: region.start, end: region.end }, mediaOf(region));
  for (const dimm of bus.dimms) yield* orLog(dimm, "nvdimm", () => enableDimm(bus, dimm));
  for (const region of bus.regions) {
    // Known errors are imported before the region is enabled, so that its first reads check them.
    if (bus.firmware === "ars") learnKnown(region);
    yield* orLog(region, "nd_region", () => enableRegion(region));
  }
  if (bus.firmware === "ars") yield* startScrub(bus, "long");
  return bus;
}

/** Shuts a bus down in order: no data is lost. The media can be registered again. */
export function* unregisterNvdimmBus(bus: NvdimmBus): Sleeps<void> {
  for (const region of bus.regions) yield* disableRegion(region);
  for (const dimm of bus.dimms) yield* disableDimm(bus, dimm);
  bus.kernel.uevents.send("remove", bus.path, "nd");
  for (const region of bus.regions) cyclePower(region, "cpu_cache");
}

/** Power failure: unflushed data outside of the persistence domain is lost. The bus must not be used afterwards. */
export function powerFailure(bus: NvdimmBus): void {
  for (const region of bus.regions) cyclePower(region, region.survivingDomain);
}

function cyclePower(region: Region, domain: PersistenceDomain): void {
  for (const media of region.media) media.powerCycle(domain);
}

function* orLog(device: NdDevice, driver: NdDriverName, enable: () => Sleeps<void>): Sleeps<void> {
  try {
    yield* enable();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    logFailedProbe(device, driver, error);
  }
}
