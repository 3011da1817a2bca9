// A device that takes a namespace and gives it a personality: btt makes sectors atomic, pfn gives it struct pages for a file
// system (fsdax), dax gives it to the dax bus (devdax). Each region has one of each kind that is waiting to be configured.
// Kernel counterpart: struct nd_btt, nd_pfn and nd_dax in drivers/nvdimm/nd.h.
import { MiB } from "@hetmem/kernel";
import type { PmemDisk } from "../drivers/pmem-disk.ts";
import type { Uuid } from "../labels/uuid.ts";
import type { PfnInfoBlock } from "../drivers/info-block.ts";
import { NdDevice } from "./device.ts";
import type { Namespace } from "./namespace.ts";
import type { DaxRegionMapping } from "./ports.ts";
import type { Region } from "./region.ts";

export type ClaimKind = "btt" | "pfn" | "dax";
/** Where struct pages lie: RAM, or the namespace. @see enum nd_pfn_mode */
export type PfnMode = "none" | "ram" | "pmem";

/** Sectors that a btt can have; those that aren't powers of two carry integrity data. @see btt_lbasize_supported */
export const BTT_SECTOR_SIZES = [512, 520, 528, 4096, 4104, 4160, 4224] as const;
/** What x86-64 can map with one entry. @see nd_pfn_supported_alignments() */
export const PFN_ALIGNMENTS = [4096, 2 * MiB, 1024 * MiB] as const;
const DEFAULT_ALIGN = 2 * MiB;

/** What a dax device is made from while it exists. */
export interface DaxAttachment {
  readonly block: PfnInfoBlock;
  readonly mapping: DaxRegionMapping;
}

export class Claim extends NdDevice {
  readonly kind: ClaimKind;
  readonly id: number;
  readonly region: Region;
  namespace: Namespace | undefined;
  uuid: Uuid | undefined;
  /** pfn and dax only. */
  mode: PfnMode = "none";
  /** pfn and dax only: bytes. */
  align: number = DEFAULT_ALIGN;
  /** btt only: bytes of a sector, 0 where nobody chose. */
  sectorSize = 0;
  /** What nd_pmem made of it, of a pfn or a btt. */
  disk: PmemDisk | undefined;
  /** What dax_pmem made of it. */
  dax: DaxAttachment | undefined;

  constructor(region: Region, kind: ClaimKind, id: number) {
    super(region.kernel, "nd_claim", region.path, `${kind}${region.id}.${id}`);
    this.kind = kind;
    this.id = id;
    this.region = region;
  }

  get isSeed(): boolean {
    return this.region.claimSeeds[this.kind] === this;
  }
}

/** @returns false when somebody else has the namespace @see __nd_attach_ndns() */
export function attachNamespace(claim: Claim, namespace: Namespace): boolean {
  if (namespace.claim) return false;
  namespace.claim = claim;
  claim.namespace = namespace;
  return true;
}

/** @see __nd_detach_ndns() */
export function detachNamespace(claim: Claim): void {
  if (claim.namespace) claim.namespace.claim = undefined;
  claim.namespace = undefined;
}

/** Makes a claim with the next free number and puts it on the bus. */
export function createClaim(region: Region, kind: ClaimKind): Claim {
  const claim = new Claim(region, kind, region.nextClaimId(kind));
  region.claims.set(claim.name, claim);
  claim.uevent("add");
  return claim;
}

/** Takes a claim off the bus. Nobody may have it locked who goes on to use it. */
export function unregisterClaim(claim: Claim): void {
  detachNamespace(claim);
  claim.gone = true;
  claim.region.claims.delete(claim.name);
  claim.uevent("remove");
}
