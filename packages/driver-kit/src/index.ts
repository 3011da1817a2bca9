export {
  checkConformance,
  type ConformanceOptions,
  type ConformanceReport,
  conforms,
  formatConformance,
  type Kit,
  type Named,
  type Obligation,
  type ObligationReport,
} from "./conformance.ts";
export { demand, Violation } from "./violation.ts";
