// Port: reclaim and the OOM killer. `Reclaim` of the package reclaim implements it. Without it an allocation fails
// when no page is free. Kernel counterparts: __alloc_pages_slowpath() in mm/page_alloc.c, mm/vmscan.c, out_of_memory()
// and pagefault_out_of_memory() in mm/oom_kill.c.
import { type NodeId, type Page, type Sleeps, virtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Vm } from "../vm.ts";
import type { OomControl, ReclaimGroup } from "./reclaim-groups.ts";

/**
 * Attempts without a freed page after which callers of reclaim give up.
 *
 * @see MAX_RECLAIM_RETRIES in mm/internal.h
 */
export const MAX_RECLAIM_RETRIES = 16;
/** Pages that reclaim handles at once, and frees at least. @see SWAP_CLUSTER_MAX in include/linux/swap.h */
export const SWAP_CLUSTER_MAX = 32;

export interface PageReclaim {
  /**
   * Allocates 2^order pages after the fast path has failed, with reclaim and the OOM killer.
   *
   * @param gfp Gfp bits
   * @param near the preferred node
   * @param mm the address space that needs the pages; undefined for the kernel
   * @param nodemask the allowed nodes; absent: all
   * @returns NULL_PAGE when that didn't help, or gfp forbids it
   * @see __alloc_pages_slowpath()
   */
  allocSlowly(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page>;
  /** Called when the fault of a process ended in OOM. Invokes the OOM killer. @see pagefault_out_of_memory() */
  pagefaultOutOfMemory(process: Process): Sleeps<void>;
  /**
   * Reclaims isolated pages. Pages that stay are put back to their lists.
   *
   * @returns number of small pages freed
   * @see reclaim_pages()
   */
  reclaimPages(pages: readonly Page[]): Sleeps<number>;
  /**
   * Frees pages of a cgroup and its descendants.
   *
   * @param nrPages number of small pages to free; SWAP_CLUSTER_MAX at least are tried
   * @param gfp Gfp bits of the charge
   * @param maySwap whether anonymous pages may go to swap
   * @returns number of small pages freed
   * @see try_to_free_mem_cgroup_pages()
   */
  tryToFreeMemCgroupPages(
    target: ReclaimGroup,
    nrPages: number,
    gfp: number,
    maySwap: boolean,
  ): Sleeps<number>;
  /**
   * Invokes the OOM killer for a shortage, after other invocations have ended.
   *
   * @returns whether a retry of the allocation or charge may succeed
   * @see out_of_memory()
   */
  outOfMemory(control: OomControl): Sleeps<boolean>;
  /**
   * Whether the running task is reclaiming. Its charges are forced, and it doesn't reclaim recursively.
   *
   * @see PF_MEMALLOC
   */
  readonly isReclaiming: boolean;
  /** Runs each node's kswapd once, for machines that don't schedule the threads. @see balance_pgdat() */
  runKswapd(): Sleeps<void>;
}

/** No reclaim. A process whose fault ends in OOM is killed. */
export function noReclaim(vm: Vm): PageReclaim {
  return {
    *allocSlowly() {
      return NULL_PAGE as Page;
    },
    *pagefaultOutOfMemory(process) {
      const without = "the machine was made without reclaim: give Vm reclaimParts of @hetmem/reclaim";
      const reason = `no page is free for its fault, and ${without}`;
      process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason });
    },
    *reclaimPages(pages) {
      for (const page of pages) vm.lru.putback(page);
      return 0;
    },
    *tryToFreeMemCgroupPages() {
      return 0;
    },
    *outOfMemory() {
      return false;
    },
    isReclaiming: false,
    *runKswapd() {},
  };
}
