// What `ndctl` does with label areas as they lie on the modules: read them, clear them, write an index, look whether there is one.
// Kernel counterparts: ND_CMD_GET_CONFIG_DATA and ND_CMD_SET_CONFIG_DATA; the rest is ndctl/dimm.c and lib/dimm.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import type { Nvdimm } from "../devices/dimm.ts";
import { disableDimm, enableDimm } from "../drivers/nd-region.ts";
import { LabelArea } from "../labels/label-area.ts";
import {
  claimGuid,
  type IndexBlock,
  type Label,
  type LabelSize,
  PMEM_TYPE_GUID as PMEM_TYPE,
} from "../labels/label-format.ts";

/** Bytes of a label area; all of it where nothing is said. */
export interface LabelSpan {
  readonly offset?: number;
  /** 0 is all that is behind the offset. */
  readonly size?: number;
}

/** The bytes of a label area. @throws KernelError ENOTTY when the module has none, EINVAL when the span leaves it */
export function readLabels(dimm: Nvdimm, { offset = 0, size = 0 }: LabelSpan = {}): Uint8Array {
  const { labelArea } = expectLabelArea(dimm);
  const end = size === 0 ? labelArea.length : offset + size;
  if (offset < 0 || end > labelArea.length || offset > end)
    throw new KernelError("EINVAL", `${offset}+${size} is not inside of the label area of ${dimm.name}`);
  return labelArea.slice(offset, end);
}

/**
 * Writes zeros over a label area: the namespaces are gone when the region is enabled the next time.
 *
 * @throws KernelError EBUSY while a region uses the module
 */
export function* zeroLabels(bus: NvdimmBus, dimm: Nvdimm, span: LabelSpan = {}): Sleeps<void> {
  yield* writeLabels(bus, dimm, new Uint8Array(readLabels(dimm, span).length), span.offset ?? 0);
}

/** Writes bytes to a label area, as `write-labels` does. @throws KernelError EBUSY while a region uses the module @see nd_cmd_clear_to_send() */
export function* writeLabels(bus: NvdimmBus, dimm: Nvdimm, bytes: Uint8Array, offset = 0): Sleeps<void> {
  expectLabelArea(dimm);
  yield* bus.waitProbeIdle();
  yield* bus.lockedWhile(() => writeIdle(dimm, bytes, offset));
  yield* refresh(bus, dimm);
}

/**
 * Writes an index without any label.
 *
 * @throws KernelError EBUSY while a region uses the module
 */
export function* initLabels(bus: NvdimmBus, dimm: Nvdimm, labelSize: LabelSize = 256): Sleeps<void> {
  expectLabelArea(dimm);
  yield* bus.waitProbeIdle();
  yield* bus.lockedWhile(function* () {
    expectNotBusy(dimm);
    const area = new LabelArea(dimm.media.labelArea, (offset, bytes) => dimm.setConfigData(offset, bytes));
    yield* area.initialise(labelSize);
  });
  yield* refresh(bus, dimm);
}

/** Whether there is an index block that counts. @see `ndctl check-labels` */
export function hasLabelIndex(dimm: Nvdimm): boolean {
  return dimm.media.labelArea.length > 0 && labelAreaOf(dimm).valid;
}

/** What `ndctl read-labels -j` shows: index blocks, then labels. */
export interface LabelListing {
  readonly dev: string;
  readonly index: readonly {
    readonly signature: string;
    readonly major: number;
    readonly minor: number;
    readonly labelsize: number;
    readonly seq: number;
    readonly nslot: number;
  }[];
  readonly label?: readonly {
    readonly uuid: string;
    readonly name: string;
    readonly slot: number;
    readonly position: number;
    readonly nlabel: number;
    readonly flags: number;
    readonly isetcookie: bigint;
    readonly lbasize: number;
    readonly dpa: number;
    readonly rawsize: number;
    readonly type_guid?: string;
    readonly abstraction_guid?: string;
  }[];
}

/** The same bytes as fields, by the names that `ndctl read-labels -j` gives them. */
export function listLabels(dimm: Nvdimm): LabelListing {
  expectLabelArea(dimm);
  const area = labelAreaOf(dimm);
  const label = area.labels().map((one) => labelFields(one, area.isVersion11));
  return {
    dev: dimm.name,
    index: area.indexBlocks.map(indexFields),
    ...(label.length > 0 && { label }),
  };
}

/** A module's labels as they are on the media, whatever the driver thinks of them. */
function labelAreaOf(dimm: Nvdimm): LabelArea {
  return new LabelArea(dimm.media.labelArea, (offset, bytes) => dimm.setConfigData(offset, bytes));
}

function indexFields({ minor, labelSize, seq, slots }: IndexBlock): LabelListing["index"][number] {
  return { signature: "NAMESPACE_INDEX", major: 1, minor, labelsize: labelSize, seq, nslot: slots };
}

function labelFields(label: Label, isVersion11: boolean): NonNullable<LabelListing["label"]>[number] {
  const { uuid, name, slot, position, nlabel, flags, isetCookie, lbaSize, dpa, rawSize, claimClass } = label;
  return {
    uuid,
    name,
    slot,
    position,
    nlabel,
    flags,
    isetcookie: isetCookie,
    lbasize: lbaSize,
    dpa,
    rawsize: rawSize,
    ...(!isVersion11 && { type_guid: PMEM_TYPE, abstraction_guid: claimGuid(claimClass) }),
  };
}

function* writeIdle(dimm: Nvdimm, bytes: Uint8Array, offset: number): Sleeps<void> {
  expectNotBusy(dimm);
  yield* dimm.setConfigData(offset, bytes);
}

/** The driver reads the labels anew. */
function* refresh(bus: NvdimmBus, dimm: Nvdimm): Sleeps<void> {
  if (dimm.driver === undefined) return;
  yield* disableDimm(bus, dimm);
  dimm.labeling = false;
  yield* enableDimm(bus, dimm);
}

function expectNotBusy(dimm: Nvdimm): void {
  if (dimm.busy > 0) throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
}

function expectLabelArea(dimm: Nvdimm): Nvdimm["media"] {
  if (dimm.media.labelArea.length === 0) throw new KernelError("ENOTTY", `${dimm.name} has no label area`);
  return dimm.media;
}
