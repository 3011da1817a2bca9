export { GpuDeviceFile } from "./device-file.ts";
export { DmirrorProt } from "./dmirror-prot.ts";
export {
  type DeviceContext,
  type DeviceMapping,
  type DeviceState,
  type GpuDescription,
  type GpuDevice,
  type GpuDriver,
  type GpuHost,
  type GpuMemory,
} from "./gpu-driver.ts";
export { type DmaLatency, noLatency, pcieLatency } from "./latency.ts";
export {
  mapInPlace,
  migrateAfter,
  migrateAfterFamily,
  migrateOnTouch,
  type MigrationPolicy,
  type MigrationPolicyChoice,
  type MigrationPolicyFamily,
  migrationPolicyNamed,
  type Miss,
  type Placement,
  prefetchBlocks,
  prefetchFamily,
  standardMigrationPolicies,
} from "./policy.ts";
