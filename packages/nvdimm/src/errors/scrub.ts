// Finding errors: a scrub reads all of a region and reports what can't be read, when somebody asks for it or when a cpu meets an error.
// Kernel counterpart: acpi_nfit_ars_rescan() and acpi_nfit_scrub() in drivers/acpi/nfit/core.c, nfit_handle_mce() in mce.c.
import { alignUp, condResched, KernelError, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import type { Claim } from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { knownPoisonOf, poisonOf } from "../drivers/media-io.ts";
import { finishOverwrite } from "../security/dimm-security.ts";
import { CACHE_LINE } from "../media/media-pages.ts";
import { populateBadblocks } from "./badblocks.ts";
import type { ScrubKind } from "./nfit-work.ts";

/** Pieces in which a region is read; others may run in between. */
const SCRUB_STEPS = 4;
const PAGE = 4096;

/**
 * Asks for a scrub of all regions. It runs when `runNfitWork()` does.
 *
 * @throws KernelError EBUSY when all of them are waiting for one already, EOPNOTSUPP when the firmware can't scrub
 * @see acpi_nfit_ars_rescan()
 */
export function* startScrub(bus: NvdimmBus, kind: ScrubKind): Sleeps<void> {
  if (bus.firmware !== "ars") throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't scrub`);
  const { work } = bus;
  yield* work.initMutex.lock();
  try {
    const wanted = bus.regions
      .map(({ name }) => `${name} ${kind}`)
      .filter((request) => !work.requested.has(request));
    if (wanted.length === 0)
      throw new KernelError("EBUSY", `a scrub of ${bus.name} is waiting already: wait for it`);
    for (const request of wanted) work.requested.add(request);
    work.scrubBusy = true;
  } finally {
    work.initMutex.unlock();
  }
  work.schedule();
}

/** What the workqueue does: passes on errors that were met, scrubs what was asked for, ends overwriting. */
export function* runNfitWork(bus: NvdimmBus): Sleeps<void> {
  const { work } = bus;
  if (work.running) return yield* work.idle.waitEvent(() => !work.running);
  work.running = true;
  try {
    while (work.pending || bus.dimms.some(({ overwriting }) => overwriting)) {
      yield* reportErrors(bus);
      yield* scrubOnce(bus);
      for (const dimm of bus.dimms) finishOverwrite(dimm);
    }
  } finally {
    work.running = false;
  }
}

/** Waits until nothing is left to do; does it himself where nobody else does. @see `ndctl wait-scrub` */
export function* waitScrub(bus: NvdimmBus): Sleeps<void> {
  if (bus.firmware !== "ars") throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't scrub`);
  while (bus.work.pending) yield* runNfitWork(bus);
}

/** What the bus's `scrub` file says: runs that were completed, and a plus while one is on. @see scrub_show() */
export function scrubText({ work }: NvdimmBus): string {
  return `${work.scrubCount}${work.scrubBusy ? "+" : ""}`;
}

/** @see acpi_nfit_scrub() */
function* scrubOnce(bus: NvdimmBus): Sleeps<void> {
  const { work } = bus;
  yield* work.initMutex.lock();
  try {
    if (!work.scrubBusy) return;
    for (const region of bus.regions) {
      // Short ones first: they cost nothing.
      for (const kind of ["short", "long"] as const) {
        if (!work.requested.delete(`${region.name} ${kind}`)) continue;
        if (kind === "short") learnKnown(region);
        else yield* readAll(region);
        yield* notifyPoison(region);
      }
    }
    if (work.requested.size > 0) return;
    work.scrubBusy = false;
    work.scrubCount++;
  } finally {
    work.initMutex.unlock();
  }
}

/** What the firmware knows becomes known here. @see ND_ARS_RETURN_PREV_DATA */
export function learnKnown(region: Region): void {
  for (const { start, end } of knownPoisonOf(region, region.start, region.size))
    region.bus.badrange.add(start, end);
}

/** Poison that arrives behind the scrub's back is found by the next one. */
function* readAll(region: Region): Sleeps<void> {
  const step = alignUp(region.size / SCRUB_STEPS, PAGE);
  for (let at = region.start; at < region.end; at += step) {
    yield condResched;
    for (const { start, end } of poisonOf(region, at, Math.min(step, region.end - at))) {
      region.bus.badrange.add(start, end);
      for (const { media, dpa, size } of region.extents(start, end - start))
        media.knownPoison.add(dpa, dpa + size);
    }
  }
}

/** What a cpu met becomes known; where that was asked for, all memory is scrubbed. @see nfit_handle_mce() */
function* reportErrors(bus: NvdimmBus): Sleeps<void> {
  for (let address = bus.work.errors.shift(); address !== undefined; address = bus.work.errors.shift()) {
    const region = bus.regionAt(address);
    if (!region) continue;
    bus.badrange.add(address, address + CACHE_LINE);
    yield* notifyPoison(region);
    if (bus.work.scrubOnError && bus.firmware === "ars") yield* startScrubUnlessBusy(bus);
  }
}

function* startScrubUnlessBusy(bus: NvdimmBus): Sleeps<void> {
  try {
    yield* startScrub(bus, "long");
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

/**
 * Tells a region and what is in it of errors that have become known.
 *
 * @see nvdimm_region_notify(), nd_region_notify(), pmem_revalidate_poison()
 */
export function* notifyPoison(region: Region): Sleeps<void> {
  yield* region.lock.lock();
  try {
    if (region.driver === undefined) return;
    yield* region.bus.locked(() => populateBadblocks(region.badblocks, region.bus.badrange, region));
    for (const device of [...region.claims.values(), ...region.namespaces.values()])
      yield* notifyDisk(device);
  } finally {
    region.lock.unlock();
  }
}

function* notifyDisk(device: Claim | Namespace): Sleeps<void> {
  if (!device.disk) return;
  yield* device.lock.lock();
  try {
    device.disk?.revalidatePoison();
  } finally {
    device.lock.unlock();
  }
}
