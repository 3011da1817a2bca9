// The label areas of modules as programs reach them: bytes through ioctl, and an index and labels in these bytes. User space
// counterpart: ndctl/lib/dimm.c, ndctl/dimm.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  claimGuid,
  type IndexBlock,
  type Label,
  LabelArea,
  type LabelSize,
  PMEM_TYPE_GUID,
} from "@hetmem/nvdimm";
import { attribute } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import { isEnabled, type NdDimm } from "./devices.ts";
import { disableDimm, enableDimm } from "./enable.ts";

/** Bytes of a label area; all of it where nothing is said. */
export interface LabelSpan {
  readonly offset?: number;
  /** 0 is all that is behind the offset. */
  readonly size?: number;
}

/** Whether a module has the commands for labels. @see ndctl_dimm_is_cmd_supported() */
export function* hasLabelArea(context: NdctlContext, { path }: NdDimm): Sleeps<boolean> {
  const commands = ((yield* attribute(context, `${path}/commands`)) ?? "").split(" ");
  return ["get_size", "get_data", "set_data"].every((command) => commands.includes(command));
}

/** The bytes of a label area. @throws KernelError ENOTTY when the module has none, EINVAL when the span leaves it */
export function* readLabels(
  context: NdctlContext,
  dimm: NdDimm,
  { offset = 0, size = 0 }: LabelSpan = {},
): Sleeps<Uint8Array> {
  const node = nodeOf(dimm);
  const length = yield* context.nodes.getConfigSize(node);
  const end = size === 0 ? length : offset + size;
  if (offset < 0 || end > length || offset > end)
    throw new KernelError("EINVAL", `${offset}+${size} is not inside of the label area of ${dimm.name}`);
  return yield* context.nodes.getConfigData(node, offset, end - offset);
}

/**
 * Writes zeros over a label area: the namespaces are gone when the region is enabled the next time.
 *
 * @throws KernelError EBUSY while a region uses the module
 */
export function* zeroLabels(context: NdctlContext, dimm: NdDimm, span: LabelSpan = {}): Sleeps<void> {
  const { length } = yield* readLabels(context, dimm, span);
  yield* writeLabels(context, dimm, new Uint8Array(length), span.offset ?? 0);
}

/** Writes bytes to a label area. @throws KernelError EBUSY while a region uses the module @see `ndctl write-labels` */
export function* writeLabels(
  context: NdctlContext,
  dimm: NdDimm,
  bytes: Uint8Array,
  offset = 0,
): Sleeps<void> {
  yield* context.nodes.setConfigData(nodeOf(dimm), offset, bytes);
  yield* refresh(context, dimm);
}

/**
 * Writes an index without any label.
 *
 * @throws KernelError EBUSY while a region uses the module
 * @see ndctl_dimm_init_labels()
 */
export function* initLabels(context: NdctlContext, dimm: NdDimm, labelSize: LabelSize = 256): Sleeps<void> {
  const area = yield* labelAreaOf(context, dimm);
  yield* area.initialise(labelSize);
  yield* refresh(context, dimm);
}

/** Whether there is an index block that counts. @see `ndctl check-labels`, ndctl_dimm_validate_labels() */
export function* hasLabelIndex(context: NdctlContext, dimm: NdDimm): Sleeps<boolean> {
  return (yield* hasLabelArea(context, dimm)) && (yield* labelAreaOf(context, dimm)).valid;
}

/** The fields of a label area, as `ndctl read-labels -j` shows them: index blocks, then labels. */
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

/** The bytes of a label area as fields, by the names that `ndctl read-labels -j` gives them. */
export function* listLabels(context: NdctlContext, dimm: NdDimm): Sleeps<LabelListing> {
  const area = yield* labelAreaOf(context, dimm);
  const label = area.labels().map((one) => labelFields(one, area.isVersion11));
  return {
    dev: dimm.name,
    index: area.indexBlocks.map(indexFields),
    ...(label.length > 0 && { label }),
  };
}

/** A module's labels as they are on the media, whatever the driver has read. */
function* labelAreaOf({ nodes }: NdctlContext, dimm: NdDimm): Sleeps<LabelArea> {
  const node = nodeOf(dimm);
  const bytes = yield* nodes.getConfigData(node, 0, yield* nodes.getConfigSize(node));
  return new LabelArea(bytes, (offset, data) => nodes.setConfigData(node, offset, data));
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
    ...(!isVersion11 && { type_guid: PMEM_TYPE_GUID, abstraction_guid: claimGuid(claimClass) }),
  };
}

/** The driver reads the labels anew. */
function* refresh(context: NdctlContext, dimm: NdDimm): Sleeps<void> {
  if (!(yield* isEnabled(context, dimm))) return;
  yield* disableDimm(context, dimm);
  yield* enableDimm(context, dimm);
}

function nodeOf({ name }: NdDimm): string {
  return `/dev/${name}`;
}
