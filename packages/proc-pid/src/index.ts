export { clearRefs, ClearRefs } from "./clear-refs.ts";
export { mappingName } from "./maps.ts";
export { gatherStats, MemSizeStats } from "./mem-size-stats.ts";
export { pagemap, PageMapBit, type PagemapOptions } from "./pagemap.ts";
export { type ProcPidOptions, procPidTable } from "./proc-pid.ts";
export { smapsText } from "./smaps.ts";
export { statusText } from "./status.ts";
