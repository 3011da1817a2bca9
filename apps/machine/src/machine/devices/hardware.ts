// Parts of a machine that outlive a reboot: its modules of persistent memory, with contents, labels and bad cells, and the seed
// of the names that are given to namespaces. Kernel counterpart: none, this is on the mainboard.
import { run } from "@hetmem/kernel";
import { DimmMedia, LabelArea, type NewUuid } from "@hetmem/nvdimm";
import type { MachineSpec, NvdimmModule } from "@hetmem/machine-spec";
import { writeNamespaces } from "./nvdimm.ts";

export interface Hardware {
  /** By number of the module. */
  readonly modules: readonly DimmMedia[];
  /** Media of ranges without modules, by number of the range. */
  readonly ranges: readonly (DimmMedia | undefined)[];
  /** A name that nothing on this machine has. */
  readonly newUuid: NewUuid;
}

/** The label area of modules without labels. */
const LABEL_AREA = 128 * 1024;

export function createHardware({ nvdimm }: MachineSpec): Hardware {
  const { modules = [], ranges = [] } = nvdimm ?? {};
  const hardware: Hardware = {
    modules: modules.map(newModule),
    ranges: ranges.map(({ start, end, mappings }) =>
      mappings.length > 0 ? undefined : new DimmMedia({ capacity: end - start, labelAreaSize: 0 }),
    ),
    newUuid: uuids(),
  };
  if (nvdimm) writeNamespaces(nvdimm, hardware);
  return hardware;
}

/** An orderly shutdown flushes everything; then the power goes and comes back. */
export function shutDown({ modules, ranges }: Hardware): void {
  for (const media of [...modules, ...ranges]) media?.powerCycle("cpu_cache");
}

/** As it leaves the factory, or as the firmware has prepared it. */
function newModule({ capacity, labelled = false }: NvdimmModule): DimmMedia {
  const media = new DimmMedia({ capacity, labelAreaSize: LABEL_AREA });
  if (!labelled) return media;
  const area = new LabelArea(media.labelArea, function* (offset, bytes) {
    media.labelArea.set(bytes, offset);
  });
  run(area.initialise(256));
  return media;
}

/** Names in the form of random ones, the same in each run. */
function uuids(): NewUuid {
  let count = 0;
  const word = (): string => {
    count = (count + 0x9e3779b9) >>> 0;
    const mixed = Math.imul(count ^ (count >>> 16), 0x85ebca6b);
    const again = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((again ^ (again >>> 16)) >>> 0).toString(16).padStart(8, "0");
  };
  return () => {
    const digits = [word(), word(), word(), word()].join("");
    return [
      digits.slice(0, 8),
      digits.slice(8, 12),
      `4${digits.slice(13, 16)}`,
      `a${digits.slice(17, 20)}`,
      digits.slice(20),
    ].join("-");
  };
}
