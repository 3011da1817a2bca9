// Persistent memory in a machine file: each device called "Persistent Memory" is a region, interleaved over modules of its own. A
// region without modules is memory that memmap= set aside. Kernel counterparts: drivers/acpi/nfit/core.c,
// drivers/nvdimm/e820.c.
import { isAligned, MiB } from "@hetmem/kernel";
import { nodesOfDevice } from "./affinity.ts";
import type {
  IomemEntry,
  MachineSpec,
  NodeSpec,
  NvdimmModule,
  NvdimmRange,
  NvdimmSpec,
} from "./machine-spec.ts";
import type { SpecProblem } from "./problem.ts";
import type { MachineFile } from "./yaml-schema.ts";

const PERSISTENT = "Persistent Memory";
/** Alignment of regions. @see MEMREMAP_COMPAT_ALIGN_MAX in include/linux/memremap.h */
const REGION_ALIGN = 16 * MiB;

/** Problems of the nodes, the modules and the alignment of devices. */
export function* nvdimmProblems(
  { devices = [] }: MachineFile,
  nodes: readonly NodeSpec[],
): Generator<SpecProblem> {
  for (const [index, { name, node, modules, persistence_domain, start, size, end }] of devices.entries()) {
    const path = ["devices", index];
    if (node !== undefined && !nodes.some(({ id }) => id === node))
      yield {
        path: [...path, "node"],
        message: `there is no node ${node}; add it to nodes, without memory`,
      };
    const isPersistent = name === PERSISTENT;
    if (!isPersistent && (modules !== undefined || persistence_domain !== undefined))
      yield {
        path: [...path, modules === undefined ? "persistence_domain" : "modules"],
        message: `only a device whose name is "${PERSISTENT}" has that; leave it out`,
      };
    const bytes = size ?? (end ?? start) - start;
    const unit = REGION_ALIGN * Math.max(1, modules ?? 1);
    if (isPersistent && !(isAligned(start, REGION_ALIGN) && isAligned(bytes, unit)))
      yield {
        path,
        message: `persistent memory begins at a multiple of 16M and is a multiple of ${unit / MiB}M long`,
      };
  }
}

/** The persistent memory of a file; undefined when it has none. */
export function nvdimmOfDevices(
  { devices = [] }: MachineFile,
  entries: readonly IomemEntry[],
  place: Pick<MachineSpec, "affinity" | "nodes" | "distances">,
): NvdimmSpec | undefined {
  const modules: NvdimmModule[] = [];
  const ranges = devices.flatMap((device, index): NvdimmRange[] => {
    const entry = entries[index];
    if (device.name !== PERSISTENT || !entry) return [];
    const range = { start: entry.start, end: (entry.end + 1) as NvdimmRange["end"] };
    const count = device.modules ?? 1;
    const mappings = Array.from({ length: count }, () => {
      modules.push({ capacity: (range.end - range.start) / count, labelled: true });
      return { dimm: modules.length - 1, start: 0 };
    });
    const { persistence_domain: persistenceDomain } = device;
    return [
      {
        ...range,
        ...nodesOfDevice(place, range),
        mappings,
        ...(persistenceDomain && { persistenceDomain }),
      },
    ];
  });
  if (ranges.length === 0) return undefined;
  return modules.length > 0
    ? { provider: "ACPI.NFIT", firmware: "ars", modules, ranges }
    : { provider: "e820", firmware: "none", modules, ranges };
}
