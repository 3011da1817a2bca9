export { bindAnswersNoDevice, bindAnswersProbe, type BindPolicy } from "./bind-policy.ts";
export { daxBusTables } from "./bus-sysfs.ts";
export { createDevDax, type DevDaxData } from "./create-dev-dax.ts";
export { DaxBus, type DaxBusOptions } from "./dax-bus.ts";
export { type DaxDriver } from "./dax-driver.ts";
export {
  allocDaxRegion,
  type DaxParent,
  DaxRegion,
  type DaxRegionOptions,
  unregisterDaxRegion,
} from "./dax-region.ts";
export {
  type DaxAltmap,
  type DaxPagemap,
  type DaxSubsystem,
  DevDax,
  type DevDaxRange,
  formatRange,
  rangeSize,
} from "./dev-dax.ts";
export { daxDeviceTables } from "./device-sysfs.ts";
export { DaxFile } from "./dax-file.ts";
export { type BadFrames, daxMemoryFailure } from "./dax-memory-failure.ts";
export { type DaxPmem, daxPmemCompatProbe, daxPmemProbe, type DaxPmemRequest } from "./dax-pmem.ts";
export { DeviceDax, type DeviceDaxOptions } from "./device-dax.ts";
export { daxInvariants } from "./invariants.ts";
