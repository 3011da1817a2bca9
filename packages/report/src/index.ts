export { type BootReport, bootReportJson, bootReportLines } from "./boot-report.ts";
export { type Comparison, compareWithHost, hostComparisonLines } from "./host-comparison.ts";
export { withMemmapElsewhere } from "./memmap-elsewhere.ts";
export { createPaint, type Paint } from "./paint.ts";
export { physicalMapLines } from "./physical-map.ts";
export { formatAddress, formatShare } from "./size.ts";
export { type Column, type PaintCell, tableLines } from "./table.ts";
export { type MachineView, type Stretch, type StretchKind, viewOf } from "./view.ts";
export { wrap } from "./wrap.ts";
