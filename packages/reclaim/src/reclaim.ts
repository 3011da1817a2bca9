// Reclaim of one machine: the implementation of the port PageReclaim of mm.
// Kernel counterparts: mm/vmscan.c, __alloc_pages_slowpath() in mm/page_alloc.c, pagefault_out_of_memory() in
// mm/oom_kill.c.
import { KernelError, type NodeId, type Page, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MmStruct, Process, Vm, VmParts } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES, type OomControl, type PageReclaim, type ReclaimGroup } from "@hetmem/mm/ports";
import { GFP_KERNEL, VmEvent } from "@hetmem/zone";
import { allocRequest, anyAbove } from "./alloc-request.ts";
import { allocSlowly } from "./alloc-slowly.ts";
import { tryToFreeMemCgroupPages } from "./direct-reclaim.ts";
import { kswapd, kswapdOnce } from "./kswapd.ts";
import { globalOom, outOfMemory } from "./oom/oom.ts";
import { badnessChoice } from "./oom/select-bad-process.ts";
import { reclaimPages } from "./reclaim-pages.ts";
import { ReclaimState } from "./reclaim-state.ts";
import { SwapSpace } from "./swap/swap-space.ts";

/** Consecutive faults of one process that failed for lack of memory. */
interface FailingFaults {
  readonly process: Process;
  readonly times: number;
  /** Faults of the whole machine at the last of them. */
  readonly faults: number;
}

export class Reclaim extends ReclaimState implements PageReclaim {
  private failing: FailingFaults | undefined;

  /**
   * Allocates 2^order pages that the allocator has refused: reclaims, and lets the OOM killer kill.
   *
   * @param near preferred node
   * @param mm address space that the pages are for; undefined: the kernel itself
   * @param nodemask nodes that may be used; absent: all
   * @returns NULL_PAGE if that frees too little, or the Gfp bits forbid it
   * @see __alloc_pages_slowpath()
   */
  *allocSlowly(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page> {
    return yield* allocSlowly(this, allocRequest(this.vm, gfp, order, near, mm, nodemask));
  }

  /**
   * Handles a fault that failed for lack of memory. If memory is free by now, the access is retried,
   * MAX_RECLAIM_RETRIES times in a row at most. Otherwise the OOM killer kills a process; without a candidate, this
   * process is killed.
   *
   * @see pagefault_out_of_memory()
   */
  *pagefaultOutOfMemory(process: Process): Sleeps<void> {
    const { mm, killed } = process;
    if (killed || !mm) return;
    if (anyAbove(allocRequest(this.vm, GFP_KERNEL, 0, mm.node, mm, undefined), "low")) {
      if (this.failsFor(process) <= MAX_RECLAIM_RETRIES) return;
    } else if (yield* outOfMemory(this.vm, globalOom(this.vm, process, 0, 0))) {
      return;
    }
    const reason = "there is no memory for it, and no other process can be killed to free some";
    process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason });
  }

  reclaimPages(pages: readonly Page[]): Sleeps<number> {
    return reclaimPages(this, pages);
  }

  tryToFreeMemCgroupPages(
    target: ReclaimGroup,
    nrPages: number,
    gfp: number,
    maySwap: boolean,
  ): Sleeps<number> {
    return tryToFreeMemCgroupPages(this, target, nrPages, gfp, maySwap);
  }

  *outOfMemory(control: OomControl): Sleeps<boolean> {
    yield* this.oomLock.lock();
    try {
      if (control.relieved?.() === true) return true;
      return yield* outOfMemory(this.vm, control);
    } finally {
      this.oomLock.unlock();
    }
  }

  /** The kswapd of a node: a task for a scheduler, which ends after stopKswapd(). @see kswapd() */
  kswapd(node: NodeId): Sleeps<void> {
    return kswapd(this, node);
  }

  /** Stops the kswapd of a node. @see kswapd_stop() */
  stopKswapd(node: NodeId): void {
    this.node(node).stopped = true;
  }

  /** Runs each node's kswapd once, for machines that don't schedule the threads. */
  *runKswapd(): Sleeps<void> {
    for (const { node } of this.nodes) yield* kswapdOnce(this, node);
  }

  /**
   * Counts a failed fault.
   *
   * @returns the number of consecutive ones of the process: its cgroup, its policy or an injected failure denies it
   *   the free memory
   */
  private failsFor(process: Process): number {
    const faults = this.vm.memory.allocator.events[VmEvent.pgfault] as number;
    const last = this.failing;
    const inARow = last?.process === process && faults - last.faults <= 1;
    this.failing = { process, times: inARow ? last.times + 1 : 1, faults };
    return this.failing.times;
  }
}

/**
 * The reclaim of a machine, for tasks that schedule its kswapd.
 *
 * @throws KernelError ENOSYS if the machine was given another reclaim, or none
 */
export function reclaimOf({ reclaim }: Vm): Reclaim {
  if (reclaim instanceof Reclaim) return reclaim;
  throw new KernelError(
    "ENOSYS",
    "the reclaim of this machine is not Reclaim of @hetmem/reclaim, whose kswapd is a task: its runKswapd() works",
  );
}

/** Reclaim, swap and the choice of the OOM killer for a machine; spread them into the options of Vm. */
export const reclaimParts: Required<Pick<VmParts, "swap" | "reclaim" | "oomChoice">> = {
  swap: (vm) => new SwapSpace(vm),
  reclaim: (vm) => new Reclaim(vm),
  oomChoice: () => badnessChoice,
};
