export { type UsageOfHost, usageOfHost } from "./boot-usage.ts";
export { type Capture, captureHost } from "./capture.ts";
export { blockRange, type Host, readHost } from "./host.ts";
export { systemRam } from "./iomem.ts";
export type { BlockState, HostBlock, HostBlocks } from "./memory-blocks.ts";
export type { HostNode, HostNodes } from "./nodes.ts";
export { filesTree, type HostTree, vfsTree } from "./tree.ts";
export { type HostZone, parseZoneinfo, type Zoneinfo } from "./zoneinfo.ts";
