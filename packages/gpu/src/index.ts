export { type DmaLatency, noLatency, pcieLatency } from "./dma.ts";
export { type DeviceEntry, DevicePageTable, DevicePte } from "./device-page-table.ts";
export { type DeviceMemoryInit, DeviceMemory } from "./device-memory.ts";
export { type DeviceState, Gpu, type GpuOptions, probeGpu } from "./gpu.ts";
export { type EngineRun, GpuContext } from "./gpu-context.ts";
export { gpuDebugfsTable } from "./debugfs.ts";
export { gpuInvariants } from "./invariants.ts";
export {
  type GpuPolicy,
  mapInPlace,
  migrateAfter,
  migrateOnTouch,
  type Miss,
  type Placement,
  prefetchBlocks,
} from "./policy.ts";
export { DmirrorProt } from "./snapshot.ts";
export { type GpuStats } from "./stats.ts";
