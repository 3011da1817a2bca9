export { type DeviceEntry, DevicePageTable, DevicePte } from "./device-page-table.ts";
export { type DeviceMemoryInit, DeviceMemory } from "./device-memory.ts";
export { Gpu, type GpuOptions, probeGpu } from "./gpu.ts";
export { type EngineRun, GpuContext } from "./gpu-context.ts";
export { gpuDebugfsFiles } from "./debugfs.ts";
export { gpuDriver } from "./reference-driver.ts";
export { gpuInvariants } from "./invariants.ts";
export { type GpuStats } from "./stats.ts";
