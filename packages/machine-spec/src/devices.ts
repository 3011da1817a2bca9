// Devices of a machine file. A device is a line of /proc/iomem beside the RAM, so its range must be free and within the physical
// address space. Kernel counterpart: insert_resource() in kernel/resource.c.
import { physAddr, writeSize } from "@hetmem/kernel";
import type { IomemEntry } from "./machine-spec.ts";
import type { SpecPath, SpecProblem } from "./problem.ts";

/** A device, and its place in the file. */
export interface DeviceLine {
  readonly entry: IomemEntry;
  readonly path: SpecPath;
}

/**
 * One problem for each device that lies over another line, or past the top of the address space.
 *
 * @param others the lines of /proc/iomem that are not devices of the file
 * @param physicalBits bits of a physical address
 */
export function* deviceProblems(
  devices: readonly DeviceLine[],
  others: readonly IomemEntry[],
  physicalBits: number,
): Generator<SpecProblem> {
  for (const [index, { entry: device, path }] of devices.entries()) {
    if (device.end < device.start) continue;
    if (device.end >= 2 ** physicalBits) {
      yield {
        path,
        message: `${span(device)} is past the top of the physical address space (${physicalBits} bits): raise physical_bits or move it down`,
      };
    }
    const before = devices.slice(0, index).map(({ entry }) => entry);
    const taken = [...others, ...before].find(
      (other) => other.start <= device.end && other.end >= device.start,
    );
    if (taken)
      yield { path, message: `${span(device)} overlaps ${taken.name} at ${span(taken)}: move one of them` };
  }
}

function span({ start, end }: IomemEntry): string {
  return `${writeSize(start)}-${writeSize(physAddr(end + 1))}`;
}
