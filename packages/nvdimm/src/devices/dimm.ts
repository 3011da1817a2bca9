// A memory module as the kernel sees it: its label area once the driver has read it, which of its addresses are taken, and who
// uses it. Kernel counterpart: struct nvdimm in drivers/nvdimm/nd-core.h, drivers/nvdimm/dimm_devs.c and dimm.c.
import { condResched, type Kernel, KernelError, type Sleeps } from "@hetmem/kernel";
import { releaseResource, requestRegion, Resource } from "@hetmem/resource";
import { LabelArea } from "../labels/label-area.ts";
import type { Uuid } from "../labels/uuid.ts";
import type { DimmMedia } from "../media/dimm-media.ts";
import { NdDevice } from "./device.ts";
import type { DimmSpec } from "./spec.ts";

/** What the driver knows of a module while it is bound. @see struct nvdimm_drvdata */
export interface DimmData {
  readonly labels: LabelArea;
  /** Which device addresses belong to which namespace: `pmem-<uuid>`. */
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
  /** Whether namespaces of its regions come from labels, as the area was when the driver last read it. @see NDD_LABELING */
  labeling = false;
  /** Whether its memory can't be used for want of a passphrase. @see NDD_LOCKED */
  locked = false;
  /** Enabled regions that use it. */
  busy = 0;
  /** Whether all of it is being written over, which takes hours. @see NDD_SECURITY_OVERWRITE */
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

  /** The driver's data. @throws KernelError ENXIO while the module is disabled */
  expectData(): DimmData {
    if (!this.data) throw new KernelError("ENXIO", `${this.name} is disabled: enable it first`);
    return this.data;
  }
}

/**
 * Reads the label area and takes the addresses that labels name. A module that is locked shows its labels all the same, so
 * that its namespaces are known; nobody can use them. Under the bus's lock, so that no label is half written.
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

/** The name under which a namespace's addresses are taken. @see nd_label_gen_id() */
export function labelId(uuid: Uuid): string {
  return `pmem-${uuid}`;
}

/** The addresses that a namespace has on a module; one run of them, as long as nobody wrote labels by hand. */
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
