// Port: what happens when memory is short. `Reclaim` of the reclaim package is one; without any, an allocation that finds no
// free page fails. Kernel counterparts: __alloc_pages_slowpath() in mm/page_alloc.c, reclaim_pages() in mm/vmscan.c,
// pagefault_out_of_memory() in mm/oom_kill.c.
import { type NodeId, type Page, type Sleeps, virtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Vm } from "../vm.ts";

export interface PageReclaim {
  /**
   * Gets 2^order pages that the allocator has refused: reclaims, and kills.
   *
   * @param mm the address space that they are for; undefined: the kernel
   * @param nodemask the only nodes for it; absent: all
   * @returns NULL_PAGE when none of that has helped, or would be too much for the request
   */
  allocSlowly(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page>;
  /** The fault of a process has found no memory although everything was tried: something is killed, at last the process. */
  pagefaultOutOfMemory(process: Process): Sleeps<void>;
  /** Writes out and frees isolated pages; those that stay are back on their lists. @returns small pages freed */
  reclaimPages(pages: readonly Page[]): Sleeps<number>;
}

/** Nothing is reclaimed, and a process whose fault finds no memory is killed. */
export function noReclaim(vm: Vm): PageReclaim {
  return {
    *allocSlowly() {
      return NULL_PAGE as Page;
    },
    *pagefaultOutOfMemory(process) {
      const reason = "there is no memory for it, and the machine was made without reclaim";
      process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason });
    },
    *reclaimPages(pages) {
      for (const page of pages) vm.lru.putback(page);
      return 0;
    },
  };
}
