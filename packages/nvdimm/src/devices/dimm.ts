// A memory module as a kernel device: its label area as read by the driver, its allocated device addresses (DPA), and
// its users. Kernel counterpart: struct nvdimm in drivers/nvdimm/nd-core.h, drivers/nvdimm/dimm_devs.c and dimm.c.
import { condResched, type Kernel, KernelError, type Sleeps } from "@hetmem/kernel";
import { releaseResource, requestRegion, Resource } from "@hetmem/resource";
import { LabelArea } from "../labels/label-area.ts";
import type { Uuid } from "../labels/uuid.ts";
import type { DimmMedia } from "../media/dimm-media.ts";
import { NdDevice } from "./device.ts";
import type { DimmSpec } from "./spec.ts";

/** Driver data of an enabled module. @see struct nvdimm_drvdata */
export interface DimmData {
  readonly labels: LabelArea;
  /** Allocated device addresses: a resource per namespace extent, named `pmem-<uuid>`. */
  readonly dpa: Resource;
}

export class Nvdimm extends NdDevice {
  readonly id: number;
  readonly media: DimmMedia;
  readonly handle: number;
  readonly physId: number;
  readonly vendor: number;
  readonly deviceId: number;
  readonly serial: number;
  readonly flushHints: number;
  readonly hasSecurity: boolean;
  data: DimmData | undefined;
  /**
   * Whether namespaces of its regions are defined by labels, as of the driver's last read of the label area.
   *
   * @see NDD_LABELING
   */
  labeling = false;
  /** Whether the memory is inaccessible until the passphrase is given. @see NDD_LOCKED */
  locked = false;
  /** Number of enabled regions that use the module. */
  busy = 0;
  /** Whether an overwrite is in progress, which takes hours on hardware. @see NDD_SECURITY_OVERWRITE */
  overwriting = false;

  constructor(kernel: Kernel, parent: string, id: number, spec: DimmSpec) {
    super(kernel, "nvdimm", parent, `nmem${id}`);
    this.id = id;
    this.media = spec.media;
    this.handle = spec.handle ?? id + 1;
    this.physId = spec.physId ?? id;
    this.vendor = spec.vendor ?? 0x8680;
    this.deviceId = spec.device ?? 0x0100;
    this.serial = spec.serial ?? (0x56341200 + (id << 24)) >>> 0;
    this.flushHints = spec.flushHints ?? 0;
    this.hasSecurity = spec.security ?? false;
  }

  /** `8680-56341200`. @see acpi_nfit_dimm id_show() */
  get uniqueId(): string {
    return `${hex(this.vendor, 4)}-${hex(this.serial, 8)}`;
  }

  /** Writes to the label area. @throws KernelError EACCES while the module is locked @see nvdimm_set_config_data() */
  *setConfigData(offset: number, bytes: Uint8Array): Sleeps<void> {
    yield condResched;
    if (this.media.security === "locked")
      throw new KernelError("EACCES", `${this.name} is locked: give it its passphrase`);
    if (offset + bytes.length > this.media.labelArea.length)
      throw new KernelError(
        "ENXIO",
        `${offset}+${bytes.length} is outside of the label area of ${this.name}`,
      );
    this.media.labelArea.set(bytes, offset);
  }

  /** The driver data. @throws KernelError ENXIO while the module is disabled */
  expectData(): DimmData {
    if (!this.data) throw new KernelError("ENXIO", `${this.name} is disabled: enable it first`);
    return this.data;
  }
}

/**
 * Reads the label area and allocates the addresses in its labels. The labels of a locked module are readable, so its
 * namespaces are registered but can't be enabled. Called under the bus's lock, so that no label is half written.
 *
 * @throws KernelError EBUSY when two labels claim the same addresses
 * @see nvdimm_probe()
 */
export function probeDimm(dimm: Nvdimm): void {
  dimm.locked = dimm.media.security === "locked";
  if (dimm.media.labelArea.length === 0) return;
  const labels = new LabelArea(dimm.media.labelArea, (offset, bytes) => dimm.setConfigData(offset, bytes));
  const dpa = new Resource({ name: dimm.name, start: 0, end: dimm.media.capacity - 1 });
  for (const { uuid, dpa: start, rawSize } of labels.labels())
    requestRegion(dpa, start, rawSize, labelId(uuid));
  dimm.labeling = labels.valid;
  dimm.data = { labels, dpa };
}

/** @see nvdimm_remove() */
export function removeDimm(dimm: Nvdimm): void {
  dimm.data = undefined;
}

/** The resource name of a namespace's extents. @see nd_label_gen_id() */
export function labelId(uuid: Uuid): string {
  return `pmem-${uuid}`;
}

/** The extent of a namespace on a module. There is one, unless labels were written by hand. */
export function dpaOf(data: DimmData, uuid: Uuid): Resource | undefined {
  return data.dpa.children.find(({ name }) => name === labelId(uuid));
}

/** @see nvdimm_free_dpa() */
export function freeDpa(data: DimmData, uuid: Uuid): void {
  for (const taken of data.dpa.children.filter(({ name }) => name === labelId(uuid))) releaseResource(taken);
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
