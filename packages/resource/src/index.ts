export { iomemIsExclusive, resourceIsExclusive, type StrictIomem } from "./exclusive.ts";
export {
  IORES_DESC_ACPI_NV_STORAGE,
  IORES_DESC_ACPI_TABLES,
  IORES_DESC_CRASH_KERNEL,
  IORES_DESC_CXL,
  IORES_DESC_DEVICE_PRIVATE_MEMORY,
  IORES_DESC_NONE,
  IORES_DESC_PERSISTENT_MEMORY,
  IORES_DESC_PERSISTENT_MEMORY_LEGACY,
  IORES_DESC_RESERVED,
  IORES_DESC_SOFT_RESERVED,
  type IoresDesc,
  IORESOURCE_BUSY,
  IORESOURCE_DISABLED,
  IORESOURCE_EXCLUSIVE,
  IORESOURCE_EXT_TYPE_BITS,
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_PREFETCH,
  IORESOURCE_READONLY,
  IORESOURCE_SYSRAM,
  IORESOURCE_SYSRAM_DRIVER_MANAGED,
  IORESOURCE_SYSRAM_MERGEABLE,
  IORESOURCE_SYSTEM_RAM,
  IORESOURCE_TYPE_BITS,
  IORESOURCE_UNSET,
  IORESOURCE_WINDOW,
} from "./flags.ts";
export {
  allocateResource,
  allocFreeMemRegion,
  GFR_DEFAULT_ALIGN,
  MAX_PHYSMEM_BITS,
  requestFreeMemRegion,
  type ResourceConstraint,
} from "./free-region.ts";
export {
  adjustResource,
  insertResource,
  insertResourceConflict,
  insertResourceExpandToFit,
  reserveRegionWithSplit,
} from "./insert.ts";
export { resourceInvariants } from "./invariants.ts";
export { kindOfName, type ResourceKind } from "./iomem-names.ts";
export { formatIomem, parseIomem } from "./iomem-text.ts";
export {
  REGION_DISJOINT,
  REGION_INTERSECTS,
  REGION_MIXED,
  type RegionIntersection,
  regionIntersects,
} from "./region-intersects.ts";
export {
  releaseRegion,
  releaseResource,
  removeResource,
  requestRegion,
  requestResource,
  requestResourceConflict,
} from "./request.ts";
export {
  createIomem,
  createIoports,
  descendants,
  Resource,
  type ResourceInit,
  type ResourceTree,
  rootOf,
} from "./resource.ts";
export { mergeSystemRamResource, releaseMemRegionAdjustable } from "./system-ram.ts";
export {
  findNextIomemRes,
  iomemMatches,
  pageIsRam,
  type ResourceMatch,
  walkIomemResDesc,
  walkMemRes,
  walkSystemRamRange,
  walkSystemRamRes,
  type WalkVisitor,
} from "./walk.ts";
