// An lruvec: the five LRU lists of a node, or of a cgroup on a node, with the statistics of reclaim about them: the
// cost of reclaiming anonymous and file pages, and refaults. Kernel counterpart: struct lruvec in
// include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";

/** The five lists, in the kernel's order. @see enum lru_list */
export const LruList = {
  inactiveAnon: 0,
  activeAnon: 1,
  inactiveFile: 2,
  activeFile: 3,
  unevictable: 4,
} as const;
export type LruList = (typeof LruList)[keyof typeof LruList];
export const NR_LRU_LISTS = 5;
/** The lists that reclaim scans. @see for_each_evictable_lru() */
export const EVICTABLE_LISTS: readonly LruList[] = [
  LruList.inactiveAnon,
  LruList.activeAnon,
  LruList.inactiveFile,
  LruList.activeFile,
];

/** Index of anonymous pages in per-kind statistics; FILE is that of file pages. */
export const ANON = 0;
export const FILE = 1;

/** The LRU lists of one node, or of one cgroup on a node. @see struct lruvec */
export class Lruvec {
  /** Number that shadow entries of evicted pages carry. */
  readonly id: number;
  readonly node: NodeId;
  /** First of the five lists. */
  readonly firstList: number;
  /** The lruvec of the parent cgroup on the same node; undefined at the top. @see parent_lruvec() */
  readonly parent: Lruvec | undefined;
  /** Recent cost of reclaim, by kind, in pages: pages written, and refaults. @see lru_note_cost() */
  readonly cost: number[] = [0, 0];
  /** Number of evictions and activations, in pages: the clock of refault distances. @see nonresident_age */
  nonresidentAge = 0;
  /** Refaulted pages that were activated at once, by kind. */
  readonly activations: number[] = [0, 0];
  /** `activations` at the end of the last reclaim. @see snapshot_refaults() */
  readonly refaults: number[] = [0, 0];

  constructor(id: number, node: NodeId, firstList: number, parent: Lruvec | undefined) {
    this.id = id;
    this.node = node;
    this.firstList = firstList;
    this.parent = parent;
  }
}

/** Whether a list holds file pages. @see is_file_lru() */
export function isFileList(list: LruList): boolean {
  return list === LruList.inactiveFile || list === LruList.activeFile;
}
