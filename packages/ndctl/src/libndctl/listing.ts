// Devices as `ndctl list` and the other commands print them, with keys in the program's order. The state decides which keys are there.
// User space counterpart: ndctl/json.c, region_to_json() in ndctl/list.c.
import type { Sleeps } from "@hetmem/kernel";
import { type Json, jsonHex, jsonSize } from "@hetmem/shell/tool";
import { attribute, numberIn } from "../sysfs/attributes.ts";
import { badRangesOf, dimmsUnder, SECTOR_SIZE, sectorsIn } from "./badblocks.ts";
import type { NdctlContext } from "./context.ts";
import type { AddressRange } from "./device-nodes.ts";
import {
  claimSeed,
  isActive,
  isEnabled,
  mappingsOf,
  namespacesIn,
  type NdBus,
  type NdDimm,
  type NdNamespace,
  type NdRegion,
} from "./devices.ts";
import {
  claimFacts,
  dataOf,
  type NamespaceFacts,
  namespaceFacts,
  type RegionFacts,
  regionFacts,
} from "./facts.ts";
import { hasScrub, isScrubbing } from "./scrub.ts";

/** Everything that a listing shows besides the least. */
export interface ListOptions {
  /** `-u`: sizes with units, ids in hexadecimal. */
  readonly human?: boolean;
  /** `-v`: nodes, raw uuids. */
  readonly verbose?: boolean;
  /** `-M`: runs of bad sectors; `-v` shows them too. */
  readonly mediaErrors?: boolean;
  /** `-D`: the modules whose part in a region is shown, if they are enabled or disabled ones are shown too. */
  readonly dimms?: readonly NdDimm[];
  /** `-C`: the modes that namespaces of a region can have. */
  readonly capabilities?: boolean;
  /** `-i`: also disabled devices. */
  readonly idle?: boolean;
  /** `-c`: also disabled devices; of namespaces, those with a size. */
  readonly configured?: boolean;
}

export type Listing = { readonly [key: string]: Json | undefined };

const NULL_UUID = "00000000-0000-0000-0000-000000000000";
const MAP_LOCATIONS = { none: "none", ram: "mem", pmem: "dev" } as const;

/** @see util_bus_to_json() */
export function* listBus(context: NdctlContext, bus: NdBus): Sleeps<Listing> {
  return {
    provider: (yield* attribute(context, `${bus.path}/provider`)) ?? "",
    dev: bus.name,
    scrub_state: hasScrub(context, bus)
      ? (yield* isScrubbing(context, bus))
        ? "active"
        : "idle"
      : undefined,
  };
}

/** @see util_dimm_to_json() */
export function* listDimm(
  context: NdctlContext,
  dimm: NdDimm,
  { human = false }: ListOptions = {},
): Sleeps<Listing> {
  const { name, path } = dimm;
  const security = yield* attribute(context, `${path}/security`);
  const isFrozen = (yield* numberIn(context, `${path}/frozen`)) === 1;
  return {
    dev: name,
    id: (yield* attribute(context, `${path}/nfit/id`)) ?? "",
    handle: jsonHex((yield* numberIn(context, `${path}/nfit/handle`)) ?? 0, human),
    phys_id: jsonHex((yield* numberIn(context, `${path}/nfit/phys_id`)) ?? 0, human),
    state: (yield* isEnabled(context, dimm)) ? undefined : "disabled",
    security,
    security_frozen: security !== undefined && isFrozen ? true : undefined,
  };
}

/** Without its namespaces, which stand at its end. @see region_to_json() */
export function* listRegion(
  context: NdctlContext,
  region: NdRegion,
  options: ListOptions = {},
): Sleeps<Listing> {
  const facts = yield* regionFacts(context, region);
  const { human = false } = options;
  const { name, path } = region;
  const cookie = facts.labelled ? yield* attribute(context, `${path}/set_cookie`) : undefined;
  const whole = { start: facts.start, end: facts.start + facts.size };
  const bad = yield* badRangesOf(context, region, whole);
  const available = facts.labelled ? yield* numberIn(context, `${path}/available_size`) : 0;
  return {
    dev: name,
    size: jsonSize(facts.size, human),
    align: jsonSize(facts.align, human),
    available_size: jsonSize(available ?? 0, human),
    max_available_extent: jsonSize(facts.maxAvailableExtent, human),
    type: "pmem",
    ...nodesOf(facts, options),
    iset_id: cookie === undefined ? undefined : jsonHex(BigInt.asIntN(64, BigInt(cookie)), human),
    mappings: yield* mappingsJson(context, region, options),
    state: facts.enabled ? undefined : "disabled",
    badblock_count: bad.length > 0 ? sectorsIn(bad) : undefined,
    badblocks:
      bad.length > 0 && showsErrors(options)
        ? yield* badblocksJson(context, region, facts.start, bad)
        : undefined,
    capabilities: options.capabilities && facts.enabled ? yield* capabilitiesOf(context, region) : undefined,
    persistence_domain: (yield* attribute(context, `${path}/persistence_domain`)) ?? "unknown",
  };
}

/** Namespaces that a listing shows: active ones, unless more is asked for. */
export function* listedNamespaces(
  context: NdctlContext,
  region: NdRegion,
  { idle = false, configured = false }: ListOptions = {},
): Sleeps<NdNamespace[]> {
  const listed: NdNamespace[] = [];
  for (const namespace of namespacesIn(context, region)) {
    const isListed =
      idle ||
      (yield* isActive(context, namespace)) ||
      (configured && ((yield* numberIn(context, `${namespace.path}/size`)) ?? 0) > 0);
    if (isListed) listed.push(namespace);
  }
  return listed;
}

/**
 * A namespace in a listing.
 *
 * @param dax the dax region of a devdax namespace, or its device, under the key that the listing has for it
 * @see util_namespace_to_json()
 */
export function* listNamespace(
  context: NdctlContext,
  namespace: NdNamespace,
  options: ListOptions = {},
  dax: Listing = {},
): Sleeps<Listing> {
  const facts = yield* namespaceFacts(context, namespace);
  const region = yield* regionFacts(context, namespace.region);
  const { human = false } = options;
  const { claim, altName } = facts;
  const data = dataOf(facts);
  const disk = facts.disk ?? claim?.disk;
  const bad = yield* badRangesOf(context, namespace.region, data);
  const showsRanges = bad.length > 0 && claim?.kind !== "btt" && showsErrors(options);
  return {
    dev: namespace.name,
    ...modeOf(facts),
    size: jsonSize(claim?.size ?? data.end - data.start, human),
    ...uuidsOf(facts, options),
    ...dax,
    sector_size:
      claim?.kind === "dax" ? undefined : claim?.sectorSize.chosen || facts.sectorSize.chosen || 512,
    align: claim && claim.kind !== "btt" ? claim.align : undefined,
    blockdev: disk,
    state: (yield* isActive(context, namespace)) ? undefined : "disabled",
    name: altName || undefined,
    ...nodesOf(region, options),
    badblock_count: bad.length > 0 ? sectorsIn(bad) : undefined,
    badblocks: showsRanges ? yield* badblocksJson(context, namespace.region, data.start, bad) : undefined,
  };
}

function modeOf({ claim }: NamespaceFacts): Listing {
  if (!claim) return { mode: "raw" };
  if (claim.kind === "btt") return { mode: "sector" };
  return { mode: claim.kind === "pfn" ? "fsdax" : "devdax", map: MAP_LOCATIONS[claim.location] };
}

/** A claim's own name hides that of the label. */
function uuidsOf({ claim, kind, uuid }: NamespaceFacts, { verbose = false }: ListOptions): Listing {
  if (!claim) return { uuid: kind === "io" ? undefined : (uuid ?? NULL_UUID) };
  return { uuid: claim.uuid ?? NULL_UUID, raw_uuid: verbose ? uuid : undefined };
}

function nodesOf({ numaNode, targetNode }: RegionFacts, { verbose = false }: ListOptions): Listing {
  if (!verbose) return {};
  return {
    numa_node: numaNode >= 0 ? numaNode : undefined,
    target_node: targetNode >= 0 ? targetNode : undefined,
  };
}

function* mappingsJson(
  context: NdctlContext,
  region: NdRegion,
  { dimms = [], idle = false, configured = false, human = false }: ListOptions,
): Sleeps<Json | undefined> {
  const names = new Set(dimms.map(({ name }) => name));
  const shown: Json[] = [];
  for (const { dimm, offset, length, position } of yield* mappingsOf(context, region)) {
    if (!names.has(dimm.name)) continue;
    if (!idle && !configured && !(yield* isEnabled(context, dimm))) continue;
    shown.push({
      dimm: dimm.name,
      offset: jsonHex(offset, human),
      length: jsonHex(length, human),
      position,
    });
  }
  return shown.length > 0 ? shown : undefined;
}

/** Runs of bad sectors, with the modules that each lies on. @param base the address that sectors are counted from */
function* badblocksJson(
  context: NdctlContext,
  region: NdRegion,
  base: number,
  bad: readonly AddressRange[],
): Sleeps<Json> {
  const shown: Json[] = [];
  for (const range of bad) {
    const dimms = yield* dimmsUnder(context, region, range);
    shown.push({
      offset: (range.start - base) / SECTOR_SIZE,
      length: (range.end - range.start) / SECTOR_SIZE,
      dimms: dimms.length > 0 ? dimms : undefined,
    });
  }
  return shown;
}

/** @see util_region_capabilities_to_json() */
function* capabilitiesOf(context: NdctlContext, region: NdRegion): Sleeps<Json> {
  const shown: Json[] = [];
  for (const [kind, mode] of [
    ["btt", "sector"],
    ["pfn", "fsdax"],
    ["dax", "devdax"],
  ] as const) {
    const seed = yield* claimSeed(context, region, kind);
    const facts = seed && (yield* claimFacts(context, seed));
    if (facts?.kind === "btt") shown.push({ mode, sector_sizes: facts.sectorSize.supported });
    else if (facts) shown.push({ mode, alignments: facts.alignments });
  }
  return shown;
}

function showsErrors({ mediaErrors, verbose }: ListOptions): boolean {
  return mediaErrors === true || verbose === true;
}
