export { type Attribution, attributeMemory, type CgroupPart } from "./attribution.ts";
export { type AttributionNames, type DevicePart, type NamedPart, type NodePart } from "./charged-pages.ts";
export { type MappingPart, type ProcessPart } from "./mapped-pages.ts";
export { type OomCandidate, OomHistory, type OomKill, type OomReport } from "./oom-history.ts";
export { explainText } from "./report.ts";
