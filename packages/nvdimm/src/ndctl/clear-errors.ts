// `ndctl clear-errors`: asks the firmware to make readable what is known to be bad of a namespace. Kernel counterpart: ND_CMD_CLEAR_ERROR in
// drivers/nvdimm/bus.c; the rest is ndctl/namespace.c.
import { alignDown, alignUp, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { Namespace } from "../devices/namespace.ts";
import { clearPoison } from "../drivers/media-io.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import { injectableRange } from "../errors/inject-error.ts";
import type { Range } from "../errors/range-set.ts";
import { startScrub, waitScrub } from "../errors/scrub.ts";
import { type NdctlReport, UNHEARD } from "./report.ts";
import { checkDisable } from "./select.ts";

/**
 * Clears what is known; with `scrub` what isn't, too. What was there is lost, and zeros are in its place. The metadata of fsdax and devdax
 * namespaces is left alone, and so are namespaces in sector mode. The program disables the namespace meanwhile; here that is only asked for.
 *
 * @returns sectors that were cleared; undefined for sector mode, where nothing is done
 * @throws KernelError ENOTTY when the firmware can't clear, EOPNOTSUPP when it can't scrub, EBUSY when the namespace can't be disabled:
 * it is mounted, or RAM that is online
 */
export function* clearErrors(
  namespace: Namespace,
  options: { readonly scrub?: boolean; readonly report?: NdctlReport } = {},
): Sleeps<number | undefined> {
  const { region } = namespace;
  const { report = UNHEARD } = options;
  if (namespace.claim?.kind === "btt") return undefined;
  if (options.scrub) yield* startScrub(region.bus, "long");
  if (region.bus.work.pending) yield* waitScrub(region.bus);
  expectUnused(namespace, report);
  return yield* region.bus.locked(() => {
    const bad = badSectorsOf(namespace);
    for (const { start, end } of bad) clearPoison(region.bus, region, start, end - start);
    return bad.reduce((sum, { start, end }) => sum + (end - start) / SECTOR_SIZE, 0);
  });
}

function expectUnused(namespace: Namespace, report: NdctlReport): void {
  try {
    checkDisable(namespace, report);
  } catch (error) {
    if (error instanceof KernelError) {
      const device = namespace.claim?.name ?? namespace.name;
      report.error(`${device}: unable to disable namespace: ${strerror(error.errno)}`);
    }
    throw error;
  }
}

/** Known bad sectors of the part of a namespace that user space counts in, as physical addresses. */
export function badSectorsOf(namespace: Namespace): Range[] {
  const { region } = namespace;
  const data = injectableRange(namespace);
  return region.badblocks.ranges
    .map((sectors) => ({
      start: Math.max(data.start, alignDown(region.start + sectors.start * SECTOR_SIZE, SECTOR_SIZE)),
      end: Math.min(data.end, alignUp(region.start + sectors.end * SECTOR_SIZE, SECTOR_SIZE)),
    }))
    .filter(({ start, end }) => end > start);
}
