export { busTables } from "./bus-sysfs.ts";
export { type MmPageAlloc, type MmPageFree } from "./alloc-events.ts";
export { type BootConfig, bootMemory, type BootZone, LOCAL_DISTANCE, REMOTE_DISTANCE } from "./boot.ts";
export { type BootMemoryRange, type BootNode, type BootRange, bootZoneSizes } from "./boot-nodes.ts";
export { type BootStructPages, bootStructPages } from "./boot-struct-pages.ts";
export { type DeferredPart, DeferredSections, type FrameRange } from "./deferred.ts";
export { devicePowerFiles } from "./device-power.ts";
export { FreeArea } from "./free-area.ts";
export {
  Gfp,
  GFP_ATOMIC,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_KERNEL_ACCOUNT,
  GFP_NOWAIT,
  GFP_TRANSHUGE,
  GFP_USER,
  gfpMigrateType,
  gfpZone,
} from "./gfp.ts";
export { Memblock, type MemblockLimits, type MemblockRegion, type PfnRange } from "./memblock.ts";
export { memoryInvariants, quickInvariants } from "./invariants.ts";
export { type HugePageCounts, type HugePages } from "./huge-pages.ts";
export { type MeminfoPort } from "./meminfo.ts";
export { allZones, type Memory, type MemoryCounters, onlineCpus, onlineNodes } from "./memory.ts";
export { type BlockLinks, nodeSysfs } from "./node-sysfs.ts";
export { MemoryNode, Zonelists } from "./node.ts";
export { addTo, PageAllocator } from "./page-alloc.ts";
export { Pageblocks } from "./pageblock.ts";
export { PerCpuPages } from "./pcp.ts";
export { procTables } from "./procfs.ts";
export {
  NODE_STATS,
  NodeStat,
  type NodeStatName,
  NUMA_STATS,
  NumaStat,
  type NumaStatName,
  VM_EVENTS,
  VmEvent,
  type VmEventName,
  ZONE_STATS,
  ZoneStat,
  type ZoneStatName,
} from "./vmstat.ts";
export { initPerZoneWmarkMin, normalThreshold, totalreservePages } from "./watermark.ts";
export { type MovableOptions } from "./zone-sizes.ts";
export {
  MAX_NR_ZONES,
  MAX_ORDER,
  MAX_ORDER_NR_PAGES,
  MIGRATE_PCPTYPES,
  MIGRATE_TYPE_NAMES,
  MIGRATE_TYPES,
  MigrateType,
  PAGE_ALLOC_COSTLY_ORDER,
  PAGEBLOCK_NR_PAGES,
  PAGEBLOCK_ORDER,
  ZONE_NAMES,
  type ZoneName,
  ZoneType,
} from "./zone-type.ts";
export { type Watermarks, Zone } from "./zone.ts";
export { buildAllZonelists, nrFreeZonePages } from "./zonelist.ts";
export { Altmap } from "./altmap.ts";
export { HotplugLocks } from "./hotplug-locks.ts";
export { type IsMovable } from "./isolation.ts";
export { type BlockState, type MemoryBlock, offlineBlock, onlineBlock, validZones } from "./memory-block.ts";
export {
  MemoryFailure,
  nobodyUsesPages,
  type PoisonedDeviceMemory,
  type PoisonedPageOwner,
} from "./memory-failure.ts";
export { type MemoryGroup, MemoryGroups } from "./memory-group.ts";
export {
  type AddMemoryOptions,
  type ArchAddMemoryParams,
  MemoryHotplug,
  type MemoryHotplugOptions,
} from "./memory-hotplug.ts";
export {
  type MemoryAction,
  type MemoryListener,
  MemoryNotifiers,
  type MemoryNotify,
} from "./memory-notifier.ts";
export {
  alwaysRemovable,
  autoOnlineAnyType,
  autoOnlineOrNot,
  memorySysfs,
  type MemorySysfsOptions,
  removableByContents,
  type RemovablePolicy,
} from "./memory-sysfs.ts";
export { nothingMoves, type PageMigration } from "./page-migration.ts";
export {
  anyOrderPlacement,
  type OnlinePolicyParameters,
  onlinePolicyPlacement,
  type OnlineType,
  type Placement,
  type PlacementRequest,
  strictPlacement,
} from "./placement.ts";
export {
  type SharedTails,
  sharedVmemmapPages,
  Vmemmap,
  type VmemmapParams,
  vmemmapPages,
} from "./vmemmap.ts";
export {
  movePfnRangeToZone,
  removePfnRangeFromZone,
  resizeZoneRange,
  sectionFrames,
  sectionPieces,
  touchedPieces,
} from "./zone-span.ts";
