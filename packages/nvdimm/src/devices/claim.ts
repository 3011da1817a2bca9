// A claim: a device that claims a namespace and gives it a personality. btt makes sectors atomic, pfn adds struct
// pages for a file system (fsdax), dax provides it to the dax bus (devdax). Each region has one unconfigured claim of
// each kind, the seed. Kernel counterpart: struct nd_btt, nd_pfn and nd_dax in drivers/nvdimm/nd.h.
import { MiB } from "@hetmem/kernel";
import type { PmemDisk } from "../drivers/pmem-disk.ts";
import type { Uuid } from "../labels/uuid.ts";
import type { PfnInfoBlock } from "../drivers/info-block.ts";
import { NdDevice } from "./device.ts";
import type { Namespace } from "./namespace.ts";
import type { DaxRegionMapping } from "./ports.ts";
import type { Region } from "./region.ts";

/** In the order in which info blocks are looked for. */
export const CLAIM_KINDS = ["btt", "pfn", "dax"] as const;
export type ClaimKind = (typeof CLAIM_KINDS)[number];
/** Location of struct pages: RAM, or the namespace. @see enum nd_pfn_mode */
export type PfnMode = "none" | "ram" | "pmem";

/**
 * Sector sizes of a btt in bytes; those that aren't powers of two include integrity metadata.
 *
 * @see btt_lbasize_supported
 */
export const BTT_SECTOR_SIZES = [512, 520, 528, 4096, 4104, 4160, 4224] as const;
/** Sizes in bytes of x86-64 page table entries. @see nd_pfn_supported_alignments() */
export const PFN_ALIGNMENTS = [4096, 2 * MiB, 1024 * MiB] as const;
const DEFAULT_ALIGN = 2 * MiB;

/** The info block and dax region of an enabled dax claim. */
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
  /** btt only: sector size in bytes; 0 while not configured. */
  sectorSize = 0;
  /** The disk of an enabled pfn or btt. */
  disk: PmemDisk | undefined;
  /** The dax region of an enabled dax claim. */
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

/** Claims a namespace. @returns false when it is claimed already @see __nd_attach_ndns() */
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

/** Creates and registers a claim with the lowest free number. */
export function createClaim(region: Region, kind: ClaimKind): Claim {
  const claim = new Claim(region, kind, region.nextClaimId(kind));
  region.claims.set(claim.name, claim);
  claim.uevent("add");
  return claim;
}

/** Unregisters a claim. A task that holds its lock must not use it afterwards. */
export function unregisterClaim(claim: Claim): void {
  detachNamespace(claim);
  claim.gone = true;
  claim.region.claims.delete(claim.name);
  claim.uevent("remove");
}
