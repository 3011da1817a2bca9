// What `ndctl list` prints, as objects whose keys are in the program's order: JSON.stringify() gives its text. Which keys are there depends on
// the state, as it does there. Kernel counterpart: none, this is ndctl/list.c and util/json.c.
import type { NvdimmBus } from "../devices/bus.ts";
import { availableSize, maxAvailableExtent } from "../devices/capacity.ts";
import { BTT_SECTOR_SIZES, PFN_ALIGNMENTS } from "../devices/claim.ts";
import type { Nvdimm } from "../devices/dimm.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import { injectableRange } from "../errors/inject-error.ts";
import { NULL_UUID } from "../labels/uuid.ts";
import { securityText } from "../security/dimm-security.ts";
import { badSectorsOf } from "./clear-errors.ts";
import { isActive } from "./select.ts";

/** What a listing shows besides the least. */
export interface ListOptions {
  /** `-v`: nodes, raw uuids. */
  readonly verbose?: boolean;
  /** `-M`: runs of bad sectors; `-v` shows them too. */
  readonly mediaErrors?: boolean;
  /** `-D`: the modules whose part in a region is shown, if they are enabled or what is disabled is shown too. */
  readonly dimms?: readonly Nvdimm[];
  /** `-C`: what namespaces of a region may be. */
  readonly capabilities?: boolean;
  /** `-i`: also what is disabled. */
  readonly idle?: boolean;
  /** `-c`: also what is disabled; of namespaces, if it has a size. */
  readonly configured?: boolean;
  /** `-X`, and by itself with `-v`: the dax region of a devdax namespace, from whoever has the dax bus. */
  readonly daxRegion?: (namespace: Namespace) => object | undefined;
}

export type Listing = Readonly<Record<string, unknown>>;

/** @see util_bus_to_json() */
export function listBus(bus: NvdimmBus): Listing {
  return {
    provider: bus.provider,
    dev: bus.name,
    ...(bus.firmware === "ars" && { scrub_state: bus.work.scrubBusy ? "active" : "idle" }),
  };
}

/** @see util_dimm_to_json() */
export function listDimm(dimm: Nvdimm): Listing {
  return {
    dev: dimm.name,
    id: dimm.uniqueId,
    handle: dimm.handle,
    phys_id: dimm.physId,
    ...(dimm.driver === undefined && { state: "disabled" }),
    ...(dimm.hasSecurity && { security: securityText(dimm) }),
    ...(dimm.hasSecurity && dimm.media.frozen && { security_frozen: true }),
  };
}

/** Without its namespaces, which stand at its end. @see region_to_json() */
export function listRegion(region: Region, options: ListOptions = {}): Listing {
  const { isLabelled, badblocks } = region;
  const bad = region.driver === undefined ? [] : badblocks.ranges;
  return {
    dev: region.name,
    size: region.size,
    align: region.align,
    available_size: isLabelled ? availableSize(region) : 0,
    max_available_extent: isLabelled ? maxAvailableExtent(region) : 0,
    type: "pmem",
    ...nodesOf(region, options),
    ...(isLabelled && { iset_id: BigInt.asIntN(64, region.setCookie) }),
    ...mappingsOf(region, options),
    ...(region.driver === undefined && { state: "disabled" }),
    ...(bad.length > 0 && { badblock_count: badblocks.sectors }),
    ...(bad.length > 0 &&
      showsErrors(options) && {
        badblocks: bad.map(({ start, end }) => badblockOf(region, region.start, start, end)),
      }),
    ...(options.capabilities && region.driver !== undefined && { capabilities: capabilitiesOf() }),
    persistence_domain: region.persistenceDomain ?? "unknown",
  };
}

/** Namespaces that a listing shows: those that are active, unless more is asked for. */
export function listedNamespaces(region: Region, options: ListOptions = {}): Namespace[] {
  return [...region.namespaces.values()]
    .filter((one) => isActive(one) || options.idle || (options.configured && one.size > 0))
    .sort((one, other) => one.id - other.id);
}

/** @see util_namespace_to_json() */
export function listNamespace(namespace: Namespace, options: ListOptions = {}): Listing {
  const { claim, altName } = namespace;
  const disk = namespace.disk ?? claim?.disk;
  const bad = badSectorsOf(namespace);
  const data = injectableRange(namespace);
  const sectors = (from: number, to: number): number => (to - from) / SECTOR_SIZE;
  return {
    dev: namespace.name,
    ...modeOf(namespace),
    size: disk?.size ?? data.end - data.start,
    ...uuidsOf(namespace, options),
    ...daxRegionOf(namespace, options),
    ...(claim?.kind !== "dax" && { sector_size: claim?.sectorSize || namespace.lbaSize || 512 }),
    ...(claim && claim.kind !== "btt" && { align: claim.align }),
    ...(disk && { blockdev: disk.name }),
    ...(!isActive(namespace) && { state: "disabled" }),
    ...(altName !== "" && { name: altName }),
    ...nodesOf(namespace.region, options),
    ...(bad.length > 0 && {
      badblock_count: bad.reduce((sum, { start, end }) => sum + sectors(start, end), 0),
    }),
    ...(bad.length > 0 &&
      claim?.kind !== "btt" &&
      showsErrors(options) && {
        badblocks: bad.map(({ start, end }) =>
          badblockOf(namespace.region, data.start, sectors(data.start, start), sectors(data.start, end)),
        ),
      }),
  };
}

function modeOf({ claim }: Namespace): Listing {
  if (!claim) return { mode: "raw" };
  if (claim.kind === "btt") return { mode: "sector" };
  return {
    mode: claim.kind === "pfn" ? "fsdax" : "devdax",
    map: { none: "none", ram: "mem", pmem: "dev" }[claim.mode],
  };
}

/** A claim's own name hides that of the label. */
function uuidsOf({ claim, kind, uuid }: Namespace, { verbose }: ListOptions): Listing {
  if (!claim) return kind === "io" ? {} : { uuid: uuid ?? NULL_UUID };
  return {
    uuid: claim.uuid ?? NULL_UUID,
    ...(verbose && uuid !== undefined && { raw_uuid: uuid }),
  };
}

function daxRegionOf(namespace: Namespace, { daxRegion }: ListOptions): Listing {
  const found = namespace.claim?.dax && daxRegion?.(namespace);
  return found ? { daxregion: found } : {};
}

function nodesOf({ numaNode, targetNode }: Region, { verbose }: ListOptions): Listing {
  if (!verbose) return {};
  return {
    ...(numaNode >= 0 && { numa_node: numaNode }),
    ...(targetNode >= 0 && { target_node: targetNode }),
  };
}

function mappingsOf({ mappings }: Region, { dimms, idle, configured }: ListOptions): Listing {
  const shown = mappings.filter(
    ({ dimm }) => dimms?.includes(dimm) && (dimm.driver !== undefined || idle || configured),
  );
  if (shown.length === 0) return {};
  return {
    mappings: shown.map(({ dimm, start, size, position }) => ({
      dimm: dimm.name,
      offset: start,
      length: size,
      position,
    })),
  };
}

/** A run of bad sectors, and the modules that it lies on. @param base what sectors are counted from @see badblocks_to_jdimms() */
function badblockOf(region: Region, base: number, from: number, to: number): Listing {
  const media = new Set<unknown>();
  const [at, size] = [base + from * SECTOR_SIZE, (to - from) * SECTOR_SIZE];
  for (const extent of region.extents(at, size)) media.add(extent.media);
  const dimms = region.mappings.filter(({ dimm }) => media.has(dimm.media)).map(({ dimm }) => dimm);
  const names = dimms.sort((one, other) => one.id - other.id).map(({ name }) => name);
  return { offset: from, length: to - from, ...(names.length > 0 && { dimms: names }) };
}

function capabilitiesOf(): Listing[] {
  return [
    { mode: "sector", sector_sizes: BTT_SECTOR_SIZES },
    { mode: "fsdax", alignments: PFN_ALIGNMENTS },
    { mode: "devdax", alignments: PFN_ALIGNMENTS },
  ];
}

function showsErrors({ mediaErrors, verbose }: ListOptions): boolean {
  return mediaErrors === true || verbose === true;
}
