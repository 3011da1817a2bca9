// struct hmm: the mirrors of an address space and its snapshots in progress. There is one per mirrored address space,
// created with the first mirror and freed with the last. Kernel counterpart: struct hmm in mm/hmm.c (133ff0eac95b,
// 4.14), with fixes of later kernels: mirrors are notified before a change and not after it (ec131b2d7fa6, 4.20) and
// at the exit of the address space, the struct is freed with the last mirror (4.17), and mmu_notifier_get() counts
// its users (5.4).
import { KernelBug, RwSemaphore, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, mmStruct } from "@hetmem/mm";
import {
  MmuIntervalNotifier,
  mmuIntervalNotifierInsertLocked,
  type MmuIntervalNotifierOps,
  mmuIntervalNotifierRemove,
  mmuIntervalSetSeq,
  type MmuNotifier,
  mmuNotifierGetLocked,
  type MmuNotifierOps,
  mmuNotifierPut,
  mmuNotifierRangeBlockable,
} from "@hetmem/mmu-notifier";
import type { HmmMirror } from "./hmm-mirror.ts";
import type { HmmVmaRange } from "./hmm-vma-range.ts";

/** Fault point of the allocation of a struct hmm. */
export const HMM_FAULT_POINT = "hmm_register";
/** End of user addresses. */
const ADDRESSES = 2 ** 47;

/** Forwards the notifications of the interval notifier to all mirrors. @see hmm_invalidate_range_start() */
const INVALIDATIONS: MmuIntervalNotifierOps<Hmm> = {
  *invalidate({ data: hmm }, range, sequence) {
    mmuIntervalSetSeq(hmm.changes, sequence);
    hmm.endSnapshots(range.start, range.end);
    if (hmm.mirrors.length === 0) return true;
    // Mirror callbacks of 4.14 may sleep, so non-blocking invalidations fail: the OOM reaper skips the address space.
    // @see 4d4bbd8526a8
    if (!mmuNotifierRangeBlockable(range)) return false;
    yield* hmm.mirrorsSem.downRead();
    for (const mirror of hmm.mirrors)
      yield* mirror.ops.syncCpuDevicePagetables(mirror, "invalidate", range.start, range.end);
    hmm.mirrorsSem.upRead();
    return true;
  },
};

/** Allocation, release at exit of the address space, and freeing. @see hmm_mmu_notifier_ops */
const LIFE: MmuNotifierOps<Hmm> = {
  allocNotifier: (mm) => new Hmm(mmStruct(mm)),
  freeNotifier: ({ data: hmm }) => hmm.free(),
  release: ({ data: hmm }) => hmm.release(),
};

export class Hmm {
  readonly mm: MmStruct;
  mirrors: HmmMirror[] = [];
  /** Held for writing to add or remove mirrors, for reading while their callbacks run. @see mirrors_sem */
  readonly mirrorsSem: RwSemaphore;
  /** The interval notifier over the whole address space. */
  readonly changes: MmuIntervalNotifier<Hmm>;
  /** Snapshots not yet ended by hmmVmaRangeDone(). */
  private readonly ranges: Set<HmmVmaRange> = new Set();

  /** @throws KernelError ENOMEM */
  constructor(mm: MmStruct) {
    const { faults, lockdep } = mm.vm.kernel;
    faults.point(HMM_FAULT_POINT).alloc(`a struct hmm of mm ${mm.id}`);
    this.mm = mm;
    this.mirrorsSem = new RwSemaphore(lockdep, `mirrors_sem of mm ${mm.id}`);
    this.changes = new MmuIntervalNotifier(INVALIDATIONS, this);
  }

  /** Adds a snapshot. No change is in progress that the snapshot could miss. */
  beginSnapshot(range: HmmVmaRange): void {
    this.ranges.add(range);
  }

  /** Removes a snapshot. @returns false when it has ended before @see hmm_vma_range_done() */
  takeSnapshot(range: HmmVmaRange): boolean {
    return this.ranges.delete(range);
  }

  /** Invalidates the snapshots that overlap [start, end). @see hmm_invalidate_range() */
  endSnapshots(start: VirtAddr, end: VirtAddr): void {
    for (const range of this.ranges) range.invalidate(start, end);
  }

  /**
   * The address space exits, after all mirrors were invalidated. Mirrors are taken off the list one by one and
   * released without the lock, so that release() may unregister.
   *
   * @see hmm_release()
   */
  *release(): Sleeps<void> {
    // Ends: each turn takes a mirror off the list, and an exited address space gets no new ones.
    for (;;) {
      yield* this.mirrorsSem.downWrite();
      const mirror = this.mirrors.shift();
      this.mirrorsSem.upWrite();
      if (mirror === undefined) return;
      if (mirror.ops.release) yield* mirror.ops.release(mirror);
    }
  }

  /** Called when the last user is gone. @throws KernelBug when mirrors are left */
  free(): void {
    if (this.mirrors.length > 0) throw new KernelBug(`mm ${this.mm.id} is mirrored and its struct hmm freed`);
  }
}

/** The struct hmm of an address space; undefined when it has no mirror. @see mm->hmm */
export function hmmOf(mm: MmStruct): Hmm | undefined {
  return mm.notifiers?.list.find(({ ops }) => ops === LIFE)?.data as Hmm | undefined;
}

/**
 * Gets the struct hmm of an address space, or allocates it. Paired with putHmm(). The mmap lock is held for writing.
 *
 * @throws KernelError ENOMEM
 * @see hmm_register()
 */
export function* getHmm(mm: MmStruct): Sleeps<MmuNotifier<Hmm>> {
  const life = yield* mmuNotifierGetLocked(LIFE, mm);
  const { changes } = life.data;
  if (changes.mm === undefined) yield* mmuIntervalNotifierInsertLocked(changes, mm, 0 as VirtAddr, ADDRESSES);
  return life;
}

/**
 * Drops the reference of getHmm(). The last put frees the struct hmm; a later mirror allocates a new one.
 *
 * @see hmm_free()
 */
export function* putHmm(life: MmuNotifier<Hmm>): Sleeps<void> {
  const last = life.users === 1;
  mmuNotifierPut(life);
  if (last) yield* mmuIntervalNotifierRemove(life.data.changes);
}
