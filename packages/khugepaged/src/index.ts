export { collapseHugePage } from "./collapse.ts";
export { khugepaged, Khugepaged, khugepagedOf, khugepagedParts } from "./khugepaged.ts";
export { type CollapseAsker, type ScanResult } from "./pmd-scan.ts";
export { khugepagedTables } from "./sysfs.ts";
