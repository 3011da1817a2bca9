// The attributes of regions, namespaces and claims, read once. User space counterpart: add_region(), add_namespace() and add_pfn() in
// ndctl/lib/libndctl.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { attribute, type Choice, choiceIn, numberIn, type TreeContext } from "../sysfs/attributes.ts";
import {
  type ClaimKind,
  diskOf,
  holderOf,
  isEnabled,
  type NdClaim,
  type NdNamespace,
  type NdRegion,
} from "./devices.ts";

export interface RegionFacts {
  readonly name: string;
  readonly enabled: boolean;
  /** First byte, as a physical address. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Modules that it is interleaved over; 0 for a range of the command line. */
  readonly ways: number;
  /** Whether its namespaces have labels. @see ND_DEVICE_NAMESPACE_PMEM */
  readonly labelled: boolean;
  /** Sizes and starts of namespaces are multiples of it. */
  readonly align: number;
  /** Bytes; 0 where namespaces have no labels. */
  readonly maxAvailableExtent: number;
  readonly readOnly: boolean;
  readonly numaNode: number;
  /** -1 where the firmware says none. */
  readonly targetNode: number;
}

export interface NamespaceFacts {
  readonly name: string;
  /** With labels (`pmem`) or without (`io`). */
  readonly kind: "io" | "pmem";
  /** First byte, as a physical address; undefined while it has no size. */
  readonly start: number | undefined;
  /** Bytes, metadata among them. */
  readonly size: number;
  readonly uuid: string | undefined;
  readonly altName: string;
  readonly sectorSize: Choice;
  readonly mode: "raw" | "safe" | "memory" | "dax";
  readonly claim: ClaimFacts | undefined;
  readonly disk: string | undefined;
}

export interface ClaimFacts {
  readonly name: string;
  readonly kind: ClaimKind;
  readonly uuid: string | undefined;
  /** Where struct pages lie; `none` for a btt. */
  readonly location: "none" | "ram" | "pmem";
  /** Bytes; 0 for a btt. */
  readonly align: number;
  readonly alignments: readonly number[];
  readonly sectorSize: Choice;
  /** First byte of the data, as a physical address; undefined while it is disabled. */
  readonly start: number | undefined;
  /** Bytes of the data; undefined while it is disabled. */
  readonly size: number | undefined;
  readonly disk: string | undefined;
}

const NSTYPE_PMEM = 5;
const NO_CHOICE: Choice = { supported: [], chosen: 0 };
const MODES = ["raw", "safe", "memory", "dax"] as const;
const LOCATIONS = ["ram", "pmem"] as const;

/** @throws KernelError ENODEV for a region that is gone */
export function* regionFacts(context: TreeContext, region: NdRegion): Sleeps<RegionFacts> {
  const at = (file: string): string => `${region.path}/${file}`;
  const labelled = yield* isLabelled(context, region);
  return {
    name: region.name,
    enabled: yield* isEnabled(context, region),
    start: (yield* numberIn(context, at("resource"))) ?? 0,
    size: yield* expectNumber(context, at("size")),
    ways: (yield* numberIn(context, at("mappings"))) ?? 0,
    labelled,
    align: (yield* numberIn(context, at("align"))) ?? 1,
    maxAvailableExtent: labelled ? ((yield* numberIn(context, at("max_available_extent"))) ?? 0) : 0,
    readOnly: (yield* numberIn(context, at("read_only"))) === 1,
    numaNode: (yield* numberIn(context, at("numa_node"))) ?? -1,
    targetNode: (yield* numberIn(context, at("target_node"))) ?? -1,
  };
}

/** Whether namespaces of a region have labels. @see ndctl_region_get_nstype() */
export function* isLabelled(context: TreeContext, { path }: NdRegion): Sleeps<boolean> {
  return (yield* numberIn(context, `${path}/nstype`)) === NSTYPE_PMEM;
}

/** @throws KernelError ENODEV for a namespace that is gone */
export function* namespaceFacts(context: TreeContext, namespace: NdNamespace): Sleeps<NamespaceFacts> {
  const at = (file: string): string => `${namespace.path}/${file}`;
  const kind = (yield* attribute(context, at("devtype"))) === "nd_namespace_pmem" ? "pmem" : "io";
  const size = yield* expectNumber(context, at("size"));
  const claim = yield* holderOf(context, namespace);
  const mode = yield* attribute(context, at("mode"));
  const hasLabel = kind === "pmem";
  return {
    name: namespace.name,
    kind,
    start: size > 0 ? yield* numberIn(context, at("resource")) : undefined,
    size,
    uuid: hasLabel ? (yield* attribute(context, at("uuid"))) || undefined : undefined,
    altName: hasLabel ? ((yield* attribute(context, at("alt_name"))) ?? "") : "",
    sectorSize: hasLabel ? yield* choiceIn(context, at("sector_size")) : NO_CHOICE,
    mode: MODES.find((each) => each === mode) ?? "raw",
    claim: claim && (yield* claimFacts(context, claim)),
    disk: diskOf(context, namespace),
  };
}

export function* claimFacts(context: TreeContext, claim: NdClaim): Sleeps<ClaimFacts> {
  const at = (file: string): string => `${claim.path}/${file}`;
  const isBtt = claim.kind === "btt";
  const location = isBtt ? undefined : yield* attribute(context, at("mode"));
  return {
    name: claim.name,
    kind: claim.kind,
    uuid: (yield* attribute(context, at("uuid"))) || undefined,
    location: LOCATIONS.find((each) => each === location) ?? "none",
    align: isBtt ? 0 : ((yield* numberIn(context, at("align"))) ?? 0),
    alignments: isBtt ? [] : (yield* choiceIn(context, at("supported_alignments"))).supported,
    sectorSize: isBtt ? yield* choiceIn(context, at("sector_size")) : NO_CHOICE,
    start: isBtt ? undefined : yield* numberIn(context, at("resource")),
    size: yield* numberIn(context, at("size")),
    disk: diskOf(context, claim),
  };
}

/** The part of a namespace that user space counts sectors in: its data, and in sector mode all of it. */
export function dataOf({ claim, start = 0, size }: NamespaceFacts): {
  readonly start: number;
  readonly end: number;
} {
  if (claim?.start !== undefined && claim.size !== undefined)
    return { start: claim.start, end: claim.start + claim.size };
  return { start, end: start + size };
}

function* expectNumber(context: TreeContext, path: string): Sleeps<number> {
  const number = yield* numberIn(context, path);
  if (number === undefined) throw new KernelError("ENODEV", `${path} can't be read: the device is gone`);
  return number;
}
