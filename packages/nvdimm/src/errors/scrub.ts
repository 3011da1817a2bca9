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
import { type Range, RangeSet } from "./range-set.ts";

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
        const found = kind === "short" ? learnKnown(region) : yield* readAll(region);
        yield* notifyPoison(region, found);
      }
    }
    if (work.requested.size > 0) return;
    work.scrubBusy = false;
    work.scrubCount++;
  } finally {
    work.initMutex.unlock();
  }
}

/** What the firmware knows becomes known here. @returns what is new of it @see ND_ARS_RETURN_PREV_DATA */
export function learnKnown(region: Region): Range[] {
  return knownPoisonOf(region, region.start, region.size).flatMap(({ start, end }) =>
    region.bus.badrange.add(start, end),
  );
}

/** Poison that arrives behind the scrub's back is found by the next one. @returns what was not known */
function* readAll(region: Region): Sleeps<Range[]> {
  const found: Range[] = [];
  const step = alignUp(region.size / SCRUB_STEPS, PAGE);
  for (let at = region.start; at < region.end; at += step) {
    yield condResched;
    for (const { start, end } of poisonOf(region, at, Math.min(step, region.end - at))) {
      found.push(...region.bus.badrange.add(start, end));
      for (const { media, dpa, size } of region.extents(start, end - start))
        media.knownPoison.add(dpa, dpa + size);
    }
  }
  return found;
}

/** What a cpu met becomes known; where that was asked for, all memory is scrubbed. @see nfit_handle_mce() */
function* reportErrors(bus: NvdimmBus): Sleeps<void> {
  for (let address = bus.work.errors.shift(); address !== undefined; address = bus.work.errors.shift()) {
    const region = bus.regionAt(address);
    if (!region) continue;
    yield* notifyPoison(region, bus.badrange.add(address, address + CACHE_LINE));
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
 * Tells a region and what is in it of errors that have become known. Who has memory of it mapped, or as RAM, hears of those
 * that are new: the platform reports what it finds to all of the kernel, and not to this driver alone.
 *
 * @param found ranges that were not known to be bad
 * @see nvdimm_region_notify(), nd_region_notify(), pmem_revalidate_poison(), ghes_handle_memory_failure()
 */
export function* notifyPoison(region: Region, found: readonly Range[]): Sleeps<void> {
  yield* region.lock.lock();
  try {
    if (region.driver === undefined) return;
    yield* region.bus.locked(() => populateBadblocks(region.badblocks, region.bus.badrange, region));
    for (const device of [...region.claims.values(), ...region.namespaces.values()])
      yield* notifyDisk(device);
    for (const claim of region.claims.values()) notifyDax(claim, new RangeSet(found));
  } finally {
    region.lock.unlock();
  }
}

function notifyDax({ dax, namespace }: Claim, found: RangeSet): void {
  if (!dax || !namespace) return;
  for (const bad of found.within(namespace.range.start, namespace.range.end))
    dax.mapping.memoryFailureQueue(bad);
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
