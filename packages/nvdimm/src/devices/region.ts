// A region: a physical range of persistent memory, interleaved over modules. A region contains namespaces, and the
// claims (btt, pfn, dax) that give them a personality. Kernel counterpart: struct nd_region in drivers/nvdimm/nd.h,
// drivers/nvdimm/region_devs.c.
import { type Kernel, KiB, MiB, PAGE_SIZE } from "@hetmem/kernel";
import { Badblocks } from "../errors/badblocks.ts";
import { fletcher64 } from "../labels/fletcher64.ts";
import { viewOf } from "../labels/label-format.ts";
import type { DimmMedia } from "../media/dimm-media.ts";
import type { PersistenceDomain } from "../media/media-pages.ts";
import type { NvdimmBus } from "./bus.ts";
import type { Claim, ClaimKind } from "./claim.ts";
import { NdDevice } from "./device.ts";
import type { Nvdimm } from "./dimm.ts";
import type { Namespace } from "./namespace.ts";
import type { RegionSpec } from "./spec.ts";

/** The part of one module in a region. @see struct nd_mapping */
export interface Mapping {
  readonly dimm: Nvdimm;
  /** First byte, as device address of the module. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly position: number;
}

/** A piece of a physical range that is contiguous on one medium. */
export interface MediaExtent {
  readonly media: DimmMedia;
  /** Device address of the module. */
  readonly dpa: number;
  /** Physical address. */
  readonly spa: number;
  /** Bytes. */
  readonly size: number;
}

/** Device types in modaliases and `nstype`. @see include/uapi/linux/ndctl.h */
export const ND_DEVICE_NAMESPACE_IO = 4;
export const ND_DEVICE_NAMESPACE_PMEM = 5;
/** Alignment in bytes that every architecture can map. @see MEMREMAP_COMPAT_ALIGN_MAX */
const COMPAT_ALIGN_MAX = 16 * MiB;
/** Interleave granularity in bytes. */
const INTERLEAVE = 4 * KiB;

export class Region extends NdDevice {
  readonly id: number;
  readonly bus: NvdimmBus;
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly mappings: readonly Mapping[];
  readonly numaNode: number;
  readonly targetNode: number;
  /** Persistence domain reported by the platform. undefined when it reports none; the sysfs file is then absent. */
  readonly persistenceDomain: "cpu_cache" | "memory_controller" | undefined;
  readonly #media: DimmMedia | undefined;
  /** Alignment of starts and sizes of namespaces, in bytes. */
  align: number;
  readOnly = false;
  badblocks = new Badblocks();
  /** Modules whose `busy` count includes this region: those enabled at its probe. */
  activeDimms: readonly Nvdimm[] = [];
  /** Whether namespaces are defined by labels, decided at the probe; undefined while disabled. */
  enabledWithLabels: boolean | undefined;
  readonly namespaces = new Map<number, Namespace>();
  readonly claims = new Map<string, Claim>();
  /** The namespace to be configured next. @see nd_region->ns_seed, btt_seed, pfn_seed, dax_seed */
  namespaceSeed: Namespace | undefined;
  readonly claimSeeds: Partial<Record<ClaimKind, Claim>> = {};
  /** Numbers of namespaces found and registered at the probe. */
  initNamespaces: { readonly active: number; readonly found: number } | undefined;

  constructor(kernel: Kernel, bus: NvdimmBus, id: number, spec: RegionSpec) {
    super(kernel, "nd_region", bus.path, `region${id}`);
    this.bus = bus;
    this.id = id;
    this.start = spec.start;
    this.size = spec.size;
    this.mappings = spec.mappings.map(({ dimm, start }, position) => ({
      dimm: bus.dimm(dimm),
      start,
      size: spec.size / spec.mappings.length,
      position,
    }));
    this.#media = spec.media;
    this.numaNode = spec.numaNode;
    this.targetNode = spec.targetNode;
    this.persistenceDomain = spec.persistenceDomain;
    this.align = defaultAlign(spec);
  }

  /** First byte after the region. */
  get end(): number {
    return this.start + this.size;
  }

  /**
   * Whether namespaces are defined by labels. Decided at the probe. The kernel checks the modules every time, so that
   * labels written to a module of an enabled region add namespaces on top of the existing one.
   */
  get isLabelled(): boolean {
    return this.enabledWithLabels ?? this.mappings.some(({ dimm }) => dimm.labeling);
  }

  /** @see nd_region_to_nstype() */
  get nstype(): typeof ND_DEVICE_NAMESPACE_IO | typeof ND_DEVICE_NAMESPACE_PMEM {
    return this.isLabelled ? ND_DEVICE_NAMESPACE_PMEM : ND_DEVICE_NAMESPACE_IO;
  }

  /**
   * Whether stores need flush hints besides a cpu cache flush; undefined for a region without modules.
   *
   * @see nvdimm_has_flush()
   */
  get hasFlush(): boolean | undefined {
    if (this.mappings.length === 0) return undefined;
    return this.mappings.some(({ dimm }) => dimm.flushHints > 0);
  }

  /**
   * The persistence domain at a power failure. A platform that reports none and has no flush hints is assumed to have
   * ADR.
   */
  get survivingDomain(): PersistenceDomain {
    return this.persistenceDomain ?? (this.hasFlush === true ? "none" : "memory_controller");
  }

  /** The interleave-set cookie recorded in labels; 0 without modules. @see nd_region_interleave_set_cookie() */
  get setCookie(): bigint {
    const isVersion11 = this.mappings[0]?.dimm.data?.labels.isVersion11 ?? false;
    return isVersion11 ? cookie1(this.mappings) : cookie2(this.mappings);
  }

  /** The cookie shown while no module of the region is enabled: that of label version 1.1. */
  get setCookie11(): bigint {
    return cookie1(this.mappings);
  }

  /** The extents of a physical range on the modules. */
  *extents(spa: number, size: number): Generator<MediaExtent, void, void> {
    if (this.#media && this.mappings.length === 0) {
      yield { media: this.#media, dpa: spa - this.start, spa, size };
      return;
    }
    for (let at = spa; at < spa + size;) {
      const offset = at - this.start;
      const chunk = Math.floor(offset / INTERLEAVE);
      const within = offset % INTERLEAVE;
      const mapping = this.mappings[chunk % this.mappings.length];
      if (!mapping) return;
      const isWhole = this.mappings.length === 1;
      const length = isWhole ? spa + size - at : Math.min(INTERLEAVE - within, spa + size - at);
      const dpa = mapping.start + Math.floor(chunk / this.mappings.length) * INTERLEAVE + within;
      yield { media: mapping.dimm.media, dpa, spa: at, size: length };
      at += length;
    }
  }

  /** The physical address of a device address. */
  spaOf(mapping: Mapping, dpa: number): number {
    const offset = dpa - mapping.start;
    const chunk = Math.floor(offset / INTERLEAVE) * this.mappings.length + mapping.position;
    return this.start + chunk * INTERLEAVE + (offset % INTERLEAVE);
  }

  /** All media of the region. */
  get media(): DimmMedia[] {
    return this.#media && this.mappings.length === 0
      ? [this.#media]
      : this.mappings.map(({ dimm }) => dimm.media);
  }

  /** The lowest free namespace number. */
  nextNamespaceId(): number {
    return lowestFree((id) => this.namespaces.has(id));
  }

  nextClaimId(kind: ClaimKind): number {
    return lowestFree((id) => this.claims.has(`${kind}${this.id}.${id}`));
  }
}

function lowestFree(taken: (id: number) => boolean): number {
  let id = 0;
  while (taken(id)) id++;
  return id;
}

/** @see default_align() */
function defaultAlign({ size, mappings }: RegionSpec): number {
  const align = size < COMPAT_ALIGN_MAX ? PAGE_SIZE : COMPAT_ALIGN_MAX;
  const ways = Math.max(1, mappings.length);
  return align % ways === 0 ? align : align * ways;
}

/**
 * Cookie of label version 1.1: a record per module in interleave order, with offset and serial number.
 *
 * @see struct nfit_set_info
 */
function cookie1(mappings: readonly Mapping[]): bigint {
  if (mappings.length === 0) return 0n;
  const bytes = new Uint8Array(16 * mappings.length);
  const view = viewOf(bytes);
  for (const { dimm, position } of mappings) {
    view.setBigUint64(16 * position, BigInt(position * INTERLEAVE), true);
    view.setUint32(16 * position + 8, dimm.serial, false);
  }
  return fletcher64(bytes);
}

/** Cookie since label version 1.2, which includes the vendor. @see struct nfit_set_info2 */
function cookie2(mappings: readonly Mapping[]): bigint {
  if (mappings.length === 0) return 0n;
  const bytes = new Uint8Array(48 * mappings.length);
  const view = viewOf(bytes);
  for (const { dimm, position } of mappings) {
    view.setBigUint64(48 * position, BigInt(position * INTERLEAVE), true);
    view.setUint32(48 * position + 8, dimm.serial, false);
    view.setUint16(48 * position + 12, dimm.vendor, false);
  }
  return fletcher64(bytes);
}
