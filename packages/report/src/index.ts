export { type BootReport, bootReportJson, bootReportLines } from "./boot-report.ts";
export { type Comparison, compareWithHost, hostComparisonLines } from "./host-comparison.ts";
export { withMemmapElsewhere } from "./memmap-elsewhere.ts";
export { createPaint, type Paint } from "./paint.ts";
export { physicalMapLines } from "./physical-map.ts";
export type { Plan, PlannedBlock, PlannedZone, StructPages, ZoneBytes } from "./plan.ts";
export { planLines } from "./plan-report.ts";
export { formatAddress } from "./size.ts";
export { type MachineView, type Stretch, type StretchKind, viewOf } from "./view.ts";
