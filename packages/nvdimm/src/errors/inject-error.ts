// Asking the firmware to make memory bad on purpose, and to make it good again. Kernel counterpart: none, user space asks the firmware
// through ND_CMD_CALL; ndctl/lib/inject.c is who does it.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { dataRange } from "../drivers/setup-pfn.ts";
import { CLEAR_ERROR_UNIT } from "../media/dimm-media.ts";
import { SECTOR_SIZE } from "./badblocks.ts";
import type { Range } from "./range-set.ts";
import { startScrub } from "./scrub.ts";

export interface InjectErrorOptions {
  /** Sector of 512 bytes, from where the namespace's data begins; in sector mode from where the namespace does. */
  readonly block: number;
  /** Sectors; default 1. */
  readonly count?: number;
  /** `--no-notify`: nobody is told, and the error is met when it is read. */
  readonly notify?: boolean;
  /** `--saturate`: all of a sector is bad, and not just its first unit. */
  readonly saturate?: boolean;
}

/**
 * Makes sectors unreadable; what was in them is lost. The kernel is told, and asks the firmware for what it knows.
 *
 * @throws KernelError EOPNOTSUPP when the firmware can't, EINVAL when the sectors leave the namespace
 * @see `ndctl inject-error`
 */
export function* injectError(namespace: Namespace, options: InjectErrorOptions): Sleeps<void> {
  const { region } = namespace;
  const { bus } = region;
  const notify = options.notify ?? true;
  for (const { start, end } of injectedRanges(namespace, options)) {
    for (const { media, dpa, size } of region.extents(start, end - start)) {
      media.damage(dpa, size);
      media.injected.add(dpa, dpa + size);
      if (notify) media.knownPoison.add(dpa, dpa + size);
    }
  }
  if (notify) yield* startShortScrub(bus);
}

/**
 * Takes back what was injected. The kernel goes on to think that the sectors are bad, until they are written.
 *
 * @see `ndctl inject-error --uninject`
 */
export function* uninjectError(namespace: Namespace, options: InjectErrorOptions): Sleeps<void> {
  const { region } = namespace;
  for (const { start, end } of injectedRanges(namespace, options)) {
    for (const { media, dpa, size } of region.extents(start, end - start)) {
      for (const bad of media.injected.within(dpa, dpa + size)) media.repair(bad.start, bad.end - bad.start);
    }
  }
}

/** Sectors of the namespace in which errors are injected, as `ndctl inject-error --status` lists them. */
export function injectedErrors(namespace: Namespace): { readonly block: number; readonly count: number }[] {
  expectInjection(namespace.region);
  const { start, end } = injectableRange(namespace);
  const sectors = new Set<number>();
  for (const { media, dpa, spa, size } of namespace.region.extents(start, end - start)) {
    for (const bad of media.injected.within(dpa, dpa + size)) {
      const first = Math.floor((spa + bad.start - dpa - start) / SECTOR_SIZE);
      const last = Math.ceil((spa + bad.end - dpa - start) / SECTOR_SIZE);
      for (let sector = first; sector < last; sector++) sectors.add(sector);
    }
  }
  return runsOf([...sectors].sort((one, other) => one - other));
}

/** The part of a namespace that user space counts sectors in. */
export function injectableRange(namespace: Namespace): Range {
  const { claim, range } = namespace;
  if (claim?.dax) return dataRange(namespace, claim.dax.block);
  if (claim?.kind === "pfn" && claim.disk) return claim.disk.data;
  return range;
}

function injectedRanges(namespace: Namespace, options: InjectErrorOptions): Range[] {
  const { block, count = 1, saturate = false } = options;
  expectInjection(namespace.region);
  const { start, end } = injectableRange(namespace);
  if (block < 0 || count < 1 || start + (block + count) * SECTOR_SIZE > end)
    throw new KernelError("EINVAL", `block ${block}+${count} is not inside of ${namespace.name}`);
  return Array.from({ length: count }, (_none, i) => {
    const at = start + (block + i) * SECTOR_SIZE;
    return { start: at, end: at + (saturate ? SECTOR_SIZE : CLEAR_ERROR_UNIT) };
  });
}

function expectInjection({ bus }: Region): void {
  if (bus.firmware !== "ars")
    throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't inject errors`);
}

/** Whoever is scrubbing already will find it. @see acpi_nfit_uc_error_notify() */
function* startShortScrub(bus: Region["bus"]): Sleeps<void> {
  try {
    yield* startScrub(bus, bus.work.scrubOnError ? "long" : "short");
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === "EBUSY")) throw error;
  }
}

function runsOf(sectors: readonly number[]): { block: number; count: number }[] {
  const runs: { block: number; count: number }[] = [];
  for (const sector of sectors) {
    const last = runs.at(-1);
    if (last && last.block + last.count === sector) last.count++;
    else runs.push({ block: sector, count: 1 });
  }
  return runs;
}
