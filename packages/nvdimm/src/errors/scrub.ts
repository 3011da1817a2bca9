// Finding errors: a scrub, requested by user space or started by a machine check, reads a region and reports
// unreadable ranges. Kernel counterpart: acpi_nfit_ars_rescan() and acpi_nfit_scrub() in drivers/acpi/nfit/core.c,
// nfit_handle_mce() in mce.c.
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

/** Number of steps in which a region is read, with a preemption point before each. */
const SCRUB_STEPS = 4;
const PAGE = 4096;

/**
 * Requests a scrub of all regions, which `runNfitWork()` performs.
 *
 * @throws KernelError EBUSY when a scrub of all regions is pending already, EOPNOTSUPP when the firmware can't scrub
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

/** The work function: reports machine checks, performs requested scrubs, completes overwrites. */
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

/**
 * The text of the bus's `scrub` file: number of completed scrubs, and a plus while one is pending.
 *
 * @see scrub_show()
 */
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
      // Short scrubs first: they only read the firmware's list.
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

/** Imports the firmware's list of errors. @returns the new ranges @see ND_ARS_RETURN_PREV_DATA */
export function learnKnown(region: Region): Range[] {
  return knownPoisonOf(region, region.start, region.size).flatMap(({ start, end }) =>
    region.bus.badrange.add(start, end),
  );
}

/** Reads a whole region. Poison that arrives after its step is found by the next scrub. @returns the new bad ranges */
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

/** Reports queued machine checks, and starts a scrub if hw_error_scrub is set. @see nfit_handle_mce() */
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
 * Updates the lists of bad sectors of a region and its disks. Dax devices, mapped or online as RAM, are notified of
 * new errors only, as a kernel is by the platform's error reports.
 *
 * @param found newly found bad ranges
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
