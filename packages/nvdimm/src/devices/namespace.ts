// A namespace: a part of a region. Without labels it is the whole region, with labels an extent defined by them.
// Kernel counterpart: struct nd_namespace_io and nd_namespace_pmem in include/linux/nd.h,
// drivers/nvdimm/namespace_devs.c.
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
  /** Sector size in bytes from the label; 0 for none. */
  lbaSize = 0;
  /** The claim that uses the namespace. A claimed namespace has no driver itself. */
  claim: Claim | undefined;
  claimClass: ClaimClass = "none";
  /** Whether probing ignores info blocks. */
  forceRaw = false;
  /** Physical addresses; empty while the size is 0. */
  range: Range;
  /** The disk of an enabled raw namespace. */
  disk: PmemDisk | undefined;

  constructor(region: Region, kind: NamespaceKind, id: number) {
    super(region.kernel, "nd_namespace", region.path, `namespace${region.id}.${id}`);
    this.id = id;
    this.region = region;
    this.kind = kind;
    this.range =
      kind === "io" ? { start: region.start, end: region.end } : { start: region.start, end: region.start };
  }

  /** Bytes, including metadata. @see nvdimm_namespace_capacity() */
  get size(): number {
    return this.range.end - this.range.start;
  }

  /** Names of locked modules of the region. @see nvdimm_namespace_locked() */
  get lockedBy(): string[] {
    return this.region.mappings.filter(({ dimm }) => dimm.locked).map(({ dimm }) => dimm.name);
  }

  /** Content of the mode file. @see mode_show() */
  get mode(): "raw" | "safe" | "memory" | "dax" {
    if (!this.claim) return "raw";
    return ({ btt: "safe", pfn: "memory", dax: "dax" } as const)[this.claim.kind];
  }

  /** Name of the disk: `pmem0`, `pmem0.1`, `pmem0s`. @see nvdimm_namespace_disk_name() */
  get diskName(): string {
    const number = this.id === 0 ? `${this.region.id}` : `${this.region.id}.${this.id}`;
    return `pmem${number}${this.claim?.kind === "btt" ? "s" : ""}`;
  }

  /**
   * Sets the physical range from the extents on the modules.
   *
   * @param size bytes
   * @see nd_namespace_pmem_set_resource()
   */
  setRange(size: number): void {
    const { region, uuid } = this;
    const [mapping] = region.mappings;
    const taken = mapping?.dimm.data && uuid !== undefined ? dpaOf(mapping.dimm.data, uuid) : undefined;
    const offset = mapping && taken ? (taken.start - mapping.start) * region.mappings.length : 0;
    const start = region.start + offset;
    this.range = { start, end: start + (taken ? size : 0) };
  }
}
