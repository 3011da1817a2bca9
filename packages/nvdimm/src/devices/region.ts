// A physical range of persistent memory, interleaved over modules. It holds the namespaces, and for each personality a
// namespace can have (btt, pfn, dax) the devices that claim one. Kernel counterpart: struct nd_region in drivers/nvdimm/nd.h,
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

/** What one module contributes. @see struct nd_mapping */
export interface Mapping {
  readonly dimm: Nvdimm;
  /** First byte, by the module's own addresses. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly position: number;
}

/** A piece of a range that lies in one place. */
export interface MediaExtent {
  readonly media: DimmMedia;
  /** By the module's own addresses. */
  readonly dpa: number;
  /** Physical address. */
  readonly spa: number;
  /** Bytes. */
  readonly size: number;
}

/** Types of devices, as they stand in modaliases and `nstype`. @see include/uapi/linux/ndctl.h */
export const ND_DEVICE_NAMESPACE_IO = 4;
export const ND_DEVICE_NAMESPACE_PMEM = 5;
/** What architectures can map on their own. @see MEMREMAP_COMPAT_ALIGN_MAX */
const COMPAT_ALIGN_MAX = 16 * MiB;
/** Bytes that follow one another on one module. */
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
  /** What the platform says; undefined where it says nothing, and then the file is not there. */
  readonly persistenceDomain: "cpu_cache" | "memory_controller" | undefined;
  readonly #media: DimmMedia | undefined;
  /** What sizes and starts of namespaces must be multiples of. */
  align: number;
  readOnly = false;
  badblocks = new Badblocks();
  /** Modules that count it among their users: those that were enabled when it was. */
  activeDimms: readonly Nvdimm[] = [];
  /** Undefined while it is disabled. */
  enabledWithLabels: boolean | undefined;
  readonly namespaces = new Map<number, Namespace>();
  readonly claims = new Map<string, Claim>();
  /** The one that user space may configure next. @see nd_region->ns_seed, btt_seed, pfn_seed, dax_seed */
  namespaceSeed: Namespace | undefined;
  readonly claimSeeds: Partial<Record<ClaimKind, Claim>> = {};
  /** Namespaces found when it was enabled, and those of them that could be registered. */
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

  /** Byte behind the last. */
  get end(): number {
    return this.start + this.size;
  }

  /**
   * Whether its namespaces come from labels. That is decided when it is enabled: the kernel looks at the modules every time, and a module
   * that is given labels behind an enabled region's back gets namespaces on top of the one that is there.
   */
  get isLabelled(): boolean {
    return this.enabledWithLabels ?? this.mappings.some(({ dimm }) => dimm.labeling);
  }

  /** @see nd_region_to_nstype() */
  get nstype(): typeof ND_DEVICE_NAMESPACE_IO | typeof ND_DEVICE_NAMESPACE_PMEM {
    return this.isLabelled ? ND_DEVICE_NAMESPACE_PMEM : ND_DEVICE_NAMESPACE_IO;
  }

  /** Whether stores need more than a cpu flush; undefined where nobody knows. @see nvdimm_has_flush() */
  get hasFlush(): boolean | undefined {
    if (this.mappings.length === 0) return undefined;
    return this.mappings.some(({ dimm }) => dimm.flushHints > 0);
  }

  /** What a power failure spares. Who says nothing and has no flush hints is taken to flush by himself (ADR). */
  get survivingDomain(): PersistenceDomain {
    return this.persistenceDomain ?? (this.hasFlush === true ? "none" : "memory_controller");
  }

  /** What the labels of its namespaces are signed with; 0 without modules. @see nd_region_interleave_set_cookie() */
  get setCookie(): bigint {
    const isVersion11 = this.mappings[0]?.dimm.data?.labels.isVersion11 ?? false;
    return isVersion11 ? cookie1(this.mappings) : cookie2(this.mappings);
  }

  /** What the cookie is where no module of it is enabled. */
  get setCookie11(): bigint {
    return cookie1(this.mappings);
  }

  /** Where a physical range lies on the modules, page by page. */
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

  /** The physical address of a byte of a module. */
  spaOf(mapping: Mapping, dpa: number): number {
    const offset = dpa - mapping.start;
    const chunk = Math.floor(offset / INTERLEAVE) * this.mappings.length + mapping.position;
    return this.start + chunk * INTERLEAVE + (offset % INTERLEAVE);
  }

  /** Everything that its bytes are stored on. */
  get media(): DimmMedia[] {
    return this.#media && this.mappings.length === 0
      ? [this.#media]
      : this.mappings.map(({ dimm }) => dimm.media);
  }

  /** The lowest number that no namespace has. */
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

/** A record a module in the order of interleaving: offset, then serial number. @see struct nfit_set_info */
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

/** The same with the vendor, for labels since 1.2. @see struct nfit_set_info2 */
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
