// Reclaim of one machine: what it keeps of each node, who is at it, and its verbs. Kernel counterparts: mm/vmscan.c,
// __alloc_pages_slowpath() in mm/page_alloc.c, pagefault_out_of_memory() in mm/oom_kill.c.
import { KernelBug, type NodeId, type Page, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MmStruct, Process, Vm, VmParts } from "@hetmem/mm";
import type { PageReclaim } from "@hetmem/mm/ports";
import { GFP_KERNEL, VmEvent } from "@hetmem/zone";
import { allocRequest, anyAbove } from "./alloc-request.ts";
import { allocSlowly } from "./alloc-slowly.ts";
import { kswapd, kswapdOnce } from "./kswapd.ts";
import { MAX_RECLAIM_RETRIES } from "./node-reclaim.ts";
import { globalOom, outOfMemory } from "./oom/oom.ts";
import { reclaimPages } from "./reclaim-pages.ts";
import { ReclaimState } from "./reclaim-state.ts";
import { SwapSpace } from "./swap/swap-space.ts";

/** A process whose faults fail one after the other. */
interface FailingFaults {
  readonly process: Process;
  readonly times: number;
  /** All faults of the machine by then. */
  readonly faults: number;
}

export class Reclaim extends ReclaimState implements PageReclaim {
  private failing: FailingFaults | undefined;

  /**
   * Gets 2^order pages that the allocator has refused: reclaims, and kills.
   *
   * @param mm whom they are for; undefined: the kernel
   * @param nodemask the only nodes for it; absent: all
   * @returns NULL_PAGE when none of that has helped, or would be too much for the request
   * @see __alloc_pages_slowpath()
   */
  *allocSlowly(
    gfp: number,
    order: number,
    near: NodeId,
    mm: MmStruct | undefined,
    nodemask?: readonly NodeId[],
  ): Sleeps<Page> {
    return yield* allocSlowly(this.vm, allocRequest(this.vm, gfp, order, near, mm, nodemask));
  }

  /**
   * A process can't go on: its fault found no memory although all was done. The access is tried again when there is
   * memory by now, though not for ever. Otherwise somebody is killed, and at last the process itself.
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
    const reason = "there is no memory for it, and nobody else whose end would help";
    process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason });
  }

  reclaimPages(pages: readonly Page[]): Sleeps<number> {
    return reclaimPages(this.vm, pages);
  }

  /** A node's kernel thread, for a scheduler: it ends after stopKswapd(). @see kswapd() */
  kswapd(node: NodeId): Sleeps<void> {
    return kswapd(this.vm, node);
  }

  /** @see kswapd_stop() */
  stopKswapd(node: NodeId): void {
    this.node(node).stopped = true;
  }

  /** Gives each node's kswapd a turn: for machines on which nobody schedules them. */
  *runKswapd(): Sleeps<void> {
    for (const { node } of this.nodes) yield* kswapdOnce(this.vm, node);
  }

  /** How often a process has failed in a row: its cgroup, its nodes or an injected failure refuse it what there is. */
  private failsFor(process: Process): number {
    const faults = this.vm.memory.allocator.events[VmEvent.pgfault] as number;
    const last = this.failing;
    const inARow = last?.process === process && faults - last.faults <= 1;
    this.failing = { process, times: inARow ? last.times + 1 : 1, faults };
    return this.failing.times;
  }
}

/** The reclaim of a machine. @throws KernelBug when the machine was made with another one, or with none */
export function reclaimOf({ reclaim }: Vm): Reclaim {
  if (!(reclaim instanceof Reclaim)) throw new KernelBug("the machine has no Reclaim: give Vm reclaimParts");
  return reclaim;
}

/** Reclaim, swap and the OOM killer for a machine, to be spread into the options of Vm. */
export const reclaimParts: VmParts = {
  swap: (vm) => new SwapSpace(vm),
  reclaim: (vm) => new Reclaim(vm),
};
