// Bad sectors of a region and of the data of a namespace, from the region's `badblocks` file, with the modules that they lie on. User space
// counterpart: ndctl_region_get_next_badblock(), dev_badblocks_to_json() in ndctl/json.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { attribute, numberIn, type TreeContext } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import type { AddressRange } from "./device-nodes.ts";
import { dimmsIn, isEnabled, mappingsOf, type NdRegion } from "./devices.ts";

/** Bytes. */
export const SECTOR_SIZE = 512;

/** Bad ranges of a region that meet `within`, cut to it, as physical addresses. None where the region is disabled. */
export function* badRangesOf(
  context: TreeContext,
  region: NdRegion,
  within: AddressRange,
): Sleeps<AddressRange[]> {
  if (!(yield* isEnabled(context, region))) return [];
  const base = (yield* numberIn(context, `${region.path}/resource`)) ?? 0;
  const lines = ((yield* attribute(context, `${region.path}/badblocks`)) ?? "").split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const [sector = 0, count = 0] = line.split(" ").map(Number);
      return {
        start: Math.max(within.start, base + sector * SECTOR_SIZE),
        end: Math.min(within.end, base + (sector + count) * SECTOR_SIZE),
      };
    })
    .filter(({ start, end }) => end > start);
}

/** Sectors of ranges altogether. */
export function sectorsIn(ranges: readonly AddressRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + (end - start) / SECTOR_SIZE, 0);
}

/** The names of the modules that a range lies on, by number; none where the firmware translates no addresses. @see badblocks_to_jdimms() */
export function* dimmsUnder(
  context: NdctlContext,
  region: NdRegion,
  { start, end }: AddressRange,
): Sleeps<string[]> {
  const { length: ways } = yield* mappingsOf(context, region);
  const node = `/dev/ndctl${region.bus.id}`;
  const handles = new Set<number>();
  for (let at = start; handles.size < ways && at < end; at += SECTOR_SIZE) {
    const handle = yield* handleAt(context, node, at);
    if (handle !== undefined) handles.add(handle);
  }
  const names: string[] = [];
  for (const { name, path } of dimmsIn(context, region.bus))
    if (handles.has((yield* numberIn(context, `${path}/nfit/handle`)) ?? -1)) names.push(name);
  return names;
}

/** @see ndctl_bus_get_dimm_by_physical_address() */
function* handleAt({ nodes }: NdctlContext, bus: string, address: number): Sleeps<number | undefined> {
  try {
    return yield* nodes.translateSpa(bus, address);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
