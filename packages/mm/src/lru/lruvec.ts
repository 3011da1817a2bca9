// The LRU lists of one node, or of a cgroup's part of it, and what reclaim has learned about them. Kernel counterpart:
// struct lruvec in include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";

/** @see enum lru_list */
export const LruList = {
  inactiveAnon: 0,
  activeAnon: 1,
  inactiveFile: 2,
  activeFile: 3,
  unevictable: 4,
} as const;
export type LruList = (typeof LruList)[keyof typeof LruList];
export const NR_LRU_LISTS = 5;
/** Those that reclaim looks at. @see for_each_evictable_lru() */
export const EVICTABLE_LISTS: readonly LruList[] = [
  LruList.inactiveAnon,
  LruList.activeAnon,
  LruList.inactiveFile,
  LruList.activeFile,
];

/** Index of counters that are kept for anonymous pages and for those of files. */
export const ANON = 0;
export const FILE = 1;

export class Lruvec {
  /** What the shadows of its evicted pages carry. */
  readonly id: number;
  readonly node: NodeId;
  /** The first of its five lists. */
  readonly firstList: number;
  /** The same node's lists of the cgroup above; undefined at the top. @see parent_lruvec() */
  readonly parent: Lruvec | undefined;
  /** What reclaim of each kind has cost lately: pages written, and pages that were wanted again. @see lru_note_cost() */
  readonly cost: number[] = [0, 0];
  /** Pages that were evicted or activated: the clock that refault distances are measured with. */
  nonresidentAge = 0;
  /** Pages that came back so soon that they were active at once. */
  readonly activations: number[] = [0, 0];
  /** What `activations` was when reclaim last ended. @see snapshot_refaults() */
  readonly refaults: number[] = [0, 0];

  constructor(id: number, node: NodeId, firstList: number, parent: Lruvec | undefined) {
    this.id = id;
    this.node = node;
    this.firstList = firstList;
    this.parent = parent;
  }
}

/** Whether a list is of pages that have files. @see is_file_lru() */
export function isFileList(list: LruList): boolean {
  return list === LruList.inactiveFile || list === LruList.activeFile;
}
