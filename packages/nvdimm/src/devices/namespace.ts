// A part of a region under one name: without labels all of it, with labels what they say. Kernel counterpart: struct
// nd_namespace_io and nd_namespace_pmem in include/linux/nd.h, drivers/nvdimm/namespace_devs.c.
import type { Range } from "../errors/range-set.ts";
import type { ClaimClass } from "../labels/label-format.ts";
import type { Uuid } from "../labels/uuid.ts";
import type { Claim } from "./claim.ts";
import { NdDevice } from "./device.ts";
import { dpaOf } from "./dimm.ts";
import type { PmemDisk } from "../drivers/pmem-disk.ts";
import type { Region } from "./region.ts";

/** Without labels (`io`), or with (`pmem`). @see nd_namespace_io, nd_namespace_pmem */
export type NamespaceKind = "io" | "pmem";

export class Namespace extends NdDevice {
  readonly id: number;
  readonly region: Region;
  readonly kind: NamespaceKind;
  uuid: Uuid | undefined;
  altName = "";
  /** Bytes of a sector as the label says, 0 where nobody chose. */
  lbaSize = 0;
  /** Who took it; a namespace that is taken has no driver of its own. */
  claim: Claim | undefined;
  claimClass: ClaimClass = "none";
  /** Whether info blocks are to be overlooked. */
  forceRaw = false;
  /** Physical addresses; empty while it has no size. */
  range: Range;
  /** What nd_pmem made of it: raw mode. */
  disk: PmemDisk | undefined;

  constructor(region: Region, kind: NamespaceKind, id: number) {
    super(region.kernel, "nd_namespace", region.path, `namespace${region.id}.${id}`);
    this.id = id;
    this.region = region;
    this.kind = kind;
    this.range =
      kind === "io" ? { start: region.start, end: region.end } : { start: region.start, end: region.start };
  }

  /** Bytes, metadata among them. @see nvdimm_namespace_capacity() */
  get size(): number {
    return this.range.end - this.range.start;
  }

  /** The modules that keep it from being read. @see nvdimm_namespace_locked() */
  get lockedBy(): string[] {
    return this.region.mappings.filter(({ dimm }) => dimm.locked).map(({ dimm }) => dimm.name);
  }

  /** What its mode file says. @see mode_show() */
  get mode(): "raw" | "safe" | "memory" | "dax" {
    if (!this.claim) return "raw";
    return ({ btt: "safe", pfn: "memory", dax: "dax" } as const)[this.claim.kind];
  }

  /** The name of its disk: `pmem0`, `pmem0.1`, `pmem0s`. @see nvdimm_namespace_disk_name() */
  get diskName(): string {
    const number = this.id === 0 ? `${this.region.id}` : `${this.region.id}.${this.id}`;
    return `pmem${number}${this.claim?.kind === "btt" ? "s" : ""}`;
  }

  /** Takes the addresses from what the modules have set aside for it. @see nd_namespace_pmem_set_resource() */
  setRange(size: number): void {
    const { region, uuid } = this;
    const [mapping] = region.mappings;
    const taken = mapping?.dimm.data && uuid !== undefined ? dpaOf(mapping.dimm.data, uuid) : undefined;
    const offset = mapping && taken ? (taken.start - mapping.start) * region.mappings.length : 0;
    const start = region.start + offset;
    this.range = { start, end: start + (taken ? size : 0) };
  }
}
