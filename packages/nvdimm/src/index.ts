export { NvdimmBus } from "./devices/bus.ts";
export { allocatedSize, availableSize, maxAvailableExtent } from "./devices/capacity.ts";
export {
  BTT_SECTOR_SIZES,
  Claim,
  type ClaimKind,
  type DaxAttachment,
  PFN_ALIGNMENTS,
  type PfnMode,
} from "./devices/claim.ts";
export { NdDevice, type NdDriverName } from "./devices/device.ts";
export { type DimmData, Nvdimm } from "./devices/dimm.ts";
export { Namespace, type NamespaceKind } from "./devices/namespace.ts";
export type {
  DaxRegionMapping,
  DaxRegionRequest,
  NewUuid,
  NvdimmMapping,
  NvdimmMappings,
  PagemapAltmap,
  PagemapRequest,
  RegionMedia,
  SecurityKeys,
} from "./devices/ports.ts";
export { type Mapping, type MediaExtent, Region } from "./devices/region.ts";
export type { DimmSpec, Firmware, NvdimmBusSpec, RegionSpec } from "./devices/spec.ts";
export { bindClaim, bindNamespace, unbindClaim, unbindNamespace } from "./drivers/bind.ts";
export { bttSize } from "./drivers/btt.ts";
export {
  storeAltName,
  storeHolderClass,
  storeSectorSize,
  storeSize,
  storeUuid,
} from "./drivers/configure.ts";
export {
  storeClaimAlign,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimSectorSize,
  storeClaimUuid,
} from "./drivers/configure-claim.ts";
export { decodePfnBlock, encodePfnBlock, type PfnInfoBlock } from "./drivers/info-block.ts";
export {
  clearPoison,
  loadBytes,
  nvdimmFlush,
  poisonOf,
  storeBytes,
  storeCached,
  writebackCache,
} from "./drivers/media-io.ts";
export { disableDimm, disableRegion, enableDimm, enableRegion } from "./drivers/nd-region.ts";
export { alignedLayout, type PfnLayout, type PfnLayoutPolicy, sectionLayout } from "./drivers/pfn-layout.ts";
export { PmemDisk } from "./drivers/pmem-disk.ts";
export { powerFailure, registerNvdimmBus, unregisterNvdimmBus } from "./drivers/register-bus.ts";
export { Badblocks, type BadRange, populateBadblocks, SECTOR_SIZE } from "./errors/badblocks.ts";
export type { NfitWork, ScrubKind } from "./errors/nfit-work.ts";
export { type Range, RangeSet } from "./errors/range-set.ts";
export { notifyPoison, runNfitWork, scrubText, startScrub } from "./errors/scrub.ts";
export { nvdimmInvariants } from "./invariants.ts";
export { NvdimmDeviceNodes, type OpenDisk } from "./ioctl/device-nodes.ts";
export { LabelArea } from "./labels/label-area.ts";
export {
  type ClaimClass,
  claimGuid,
  type IndexBlock,
  type Label,
  type LabelSize,
  PMEM_TYPE_GUID,
} from "./labels/label-format.ts";
export { parseUuid, type Uuid } from "./labels/uuid.ts";
export {
  CLEAR_ERROR_UNIT,
  DimmMedia,
  type DimmMediaOptions,
  type SecurityState,
} from "./media/dimm-media.ts";
export { CACHE_LINE, MediaPages, type PersistenceDomain } from "./media/media-pages.ts";
export { type ClaimRecord, type NamespaceRecord, restoreNamespace } from "./labels/restore-namespace.ts";
export { storeSecurity } from "./security/dimm-security.ts";
export { nvdimmTables } from "./sysfs/tables.ts";
