// Error injection by firmware commands, which the kernel passes through. Kernel counterpart: ND_CMD_CALL in
// drivers/acpi/nfit/core.c, acpi_nfit_uc_error_notify().
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import type { MediaExtent } from "../devices/region.ts";
import type { Range } from "./range-set.ts";
import { startScrub } from "./scrub.ts";

/**
 * Makes a range of physical addresses unreadable; its contents are lost.
 *
 * @param range physical addresses
 * @param report `notify`: the firmware notifies the kernel, which then reads the firmware's list of errors
 * @throws KernelError EOPNOTSUPP when the firmware can't inject errors
 */
export function* injectError(bus: NvdimmBus, range: Range, report: "notify" | "silent"): Sleeps<void> {
  for (const { media, dpa, size } of extentsOf(bus, range)) {
    media.damage(dpa, size);
    media.injected.add(dpa, dpa + size);
    if (report === "notify") media.knownPoison.add(dpa, dpa + size);
  }
  if (report === "notify") yield* startShortScrub(bus);
}

/**
 * Removes injected errors from a range. The kernel's lists keep the range as bad until it is written.
 *
 * @throws KernelError EOPNOTSUPP when the firmware can't inject errors
 */
export function uninjectError(bus: NvdimmBus, range: Range): void {
  for (const { media, dpa, size } of extentsOf(bus, range))
    for (const bad of media.injected.within(dpa, dpa + size)) media.repair(bad.start, bad.end - bad.start);
}

/** The parts of a range with injected errors. @throws KernelError EOPNOTSUPP when the firmware can't inject errors */
export function injectedErrors(bus: NvdimmBus, range: Range): Range[] {
  return extentsOf(bus, range).flatMap(({ media, dpa, spa, size }) =>
    media.injected
      .within(dpa, dpa + size)
      .map(({ start, end }) => ({ start: spa + start - dpa, end: spa + end - dpa })),
  );
}

function extentsOf(bus: NvdimmBus, { start, end }: Range): MediaExtent[] {
  if (bus.firmware !== "ars")
    throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't inject errors`);
  return [...(bus.regionAt(start)?.extents(start, end - start) ?? [])];
}

/** Starts a scrub; one in progress finds the error too. @see acpi_nfit_uc_error_notify() */
function* startShortScrub(bus: NvdimmBus): Sleeps<void> {
  try {
    yield* startScrub(bus, bus.work.scrubOnError ? "long" : "short");
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === "EBUSY")) throw error;
  }
}
