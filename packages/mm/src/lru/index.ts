export { Lru } from "./lru.ts";
export { ANON, EVICTABLE_LISTS, FILE, isFileList, LruList, Lruvec } from "./lruvec.ts";
export { markPageAccessed } from "./mark-accessed.ts";
export { noteCost, snapshotRefaults, workingsetEviction, workingsetRefault } from "./workingset.ts";
