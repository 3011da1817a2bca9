export { type ArchMemremap, encryptedMemory, Memremap, plainMemory } from "./arch-memremap.ts";
export { DevPagemap, type DevPagemapInit, type DevPagemapOps, type FrameSpan } from "./dev-pagemap.ts";
export {
  type Device,
  devmMemremap,
  devmMemremapPages,
  devmMemunmap,
  devmMemunmapPages,
  Devres,
} from "./devres.ts";
export { MEMREMAP_FAULT_POINTS } from "./fault-points.ts";
export { pagemapInvariants, quickPagemapInvariants } from "./invariants.ts";
export { type IoMapping, IoMappings } from "./io-mappings.ts";
export {
  type CacheMode,
  coherentDeviceMemory,
  MEMORY_TYPES,
  MemoryType,
  type MemoryTypePolicy,
  type MemoryTypeRules,
  privateDeviceMemory,
  publicDeviceMemory,
} from "./memory-type.ts";
export { isNewMemtypeAllowed, Memtypes } from "./memtype.ts";
export { PagemapTree } from "./pagemap-tree.ts";
export { Pagemaps, type PagemapsOptions } from "./pagemaps.ts";
export {
  type DmaView,
  dmaToPhys,
  pageToPfnT,
  PfnFlag,
  type PfnT,
  pfnTDevmap,
  pfnTFlags,
  pfnTHasPage,
  pfnToPfnT,
  pfnTToPage,
  pfnTToPfn,
  pfnTToPhys,
  physToDma,
  physToPfnT,
} from "./pfn-t.ts";
export {
  type ByteRange,
  type CollisionPolicy,
  defaultPagemapPolicies,
  idleAtOne,
  idleAtZero,
  type IdlePolicy,
  type PagemapPolicies,
  sectionCollision,
  sharedTailStructPages,
  type StructPagePolicy,
  subsectionCollision,
  unsharedStructPages,
} from "./policies.ts";
export {
  isDeviceCoherentPage,
  isDevicePrivatePage,
  isDevicePublicPage,
  isFsdaxPage,
  isPciP2pdmaPage,
  isZoneDevicePage,
  type MemmapInitZoneDevice,
  memoryFailureDevPagemap,
  migrateToRam,
  zoneDevicePageInit,
} from "./zone-device-page.ts";
