// The state of reclaim on one machine: its nodes, and the tasks that are reclaiming. The files of this package get it as
// an argument, never from Vm: the reclaim that a Vm has may be another one that calls this one.
// Kernel counterparts: pg_data_t, PF_MEMALLOC.
import { type LockHolder, Mutex, type NodeId, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { NodeReclaim } from "./node-reclaim.ts";
import "./version.ts";

/** The state of reclaim on one machine. Reclaim extends it with the entry points. */
export class ReclaimState {
  /** Serialises OOM kills. @see oom_lock */
  readonly oomLock: Mutex;
  readonly vm: Vm;
  protected readonly nodes: readonly NodeReclaim[];
  /**
   * Tasks that are reclaiming. Their own allocations may use the reserves, and don't reclaim recursively.
   *
   * @see PF_MEMALLOC
   */
  private readonly reclaimers = new Set<LockHolder>();

  constructor(vm: Vm) {
    this.vm = vm;
    this.nodes = vm.memory.nodes.map((_, id) => new NodeReclaim(id as NodeId));
    this.oomLock = new Mutex(vm.kernel.lockdep, "oom_lock");
  }

  /** The state of a node. */
  node(id: NodeId): NodeReclaim {
    return this.nodes[id] as NodeReclaim;
  }

  /** Whether the running task is reclaiming. */
  get isReclaiming(): boolean {
    return this.reclaimers.has(this.vm.kernel.lockdep.current);
  }

  /** Runs a task as a part of reclaim. @see memalloc_noreclaim_save() */
  *asReclaimer<T>(task: Sleeps<T>): Sleeps<T> {
    const { current } = this.vm.kernel.lockdep;
    const nested = this.reclaimers.has(current);
    this.reclaimers.add(current);
    try {
      return yield* task;
    } finally {
      if (!nested) this.reclaimers.delete(current);
    }
  }
}
