export {
  checkConformance,
  type ConformanceOptions,
  type ConformanceReport,
  conforms,
  formatConformance,
  OBLIGATIONS,
  type ObligationReport,
} from "./check.ts";
export {
  type BoundDriver,
  type DeviceView,
  type DriverHost,
  type DriverMirror,
  type DriverUnderTest,
} from "./driver.ts";
export { type Obligation } from "./obligations/obligation.ts";
