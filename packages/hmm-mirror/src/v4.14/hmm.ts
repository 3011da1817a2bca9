// What an address space that is mirrored has for it: its mirrors, and the snapshots under way. There is one for each address
// space, made when the first mirror comes and gone with the last. Kernel counterpart: struct hmm in mm/hmm.c (133ff0eac95b,
// 4.14), with the obligations that later kernels gave it: mirrors hear before a change and not behind it (ec131b2d7fa6,
// 4.20), they are told of the end of the address space, it goes with the last of them (4.17), and mmu_notifier_get() counts
// its users (5.4).
import { KernelBug, RwSemaphore, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  type MmStruct,
  MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  mmuIntervalNotifierInsertLocked,
  mmuIntervalNotifierRemove,
  mmuIntervalSetSeq,
  type MmuNotifier,
  mmuNotifierGetLocked,
  type MmuNotifierOps,
  mmuNotifierPut,
  mmuNotifierRangeBlockable,
} from "@hetmem/mm";
import type { HmmMirror } from "./hmm-mirror.ts";
import type { HmmVmaRange } from "./hmm-vma-range.ts";

/** Where making one can be made to fail. */
export const HMM_FAULT_POINT = "hmm_register";
/** Addresses of processes are below. */
const ADDRESSES = 2 ** 47;

/** What interval notifiers are told first reaches all mirrors. @see hmm_invalidate_range_start() */
const INVALIDATIONS: MmuIntervalNotifierOps<Hmm> = {
  *invalidate({ data: hmm }, range, sequence) {
    mmuIntervalSetSeq(hmm.changes, sequence);
    hmm.endSnapshots(range.start, range.end);
    if (hmm.mirrors.length === 0) return true;
    // Mirrors of 4.14 can't be asked not to sleep: the OOM killer leaves their address space alone. @see 4d4bbd8526a8
    if (!mmuNotifierRangeBlockable(range)) return false;
    yield* hmm.mirrorsSem.downRead();
    for (const mirror of hmm.mirrors)
      yield* mirror.ops.syncCpuDevicePagetables(mirror, "invalidate", range.start, range.end);
    hmm.mirrorsSem.upRead();
    return true;
  },
};

/** Its life, and the end of its address space's. @see hmm_mmu_notifier_ops */
const LIFE: MmuNotifierOps<Hmm> = {
  allocNotifier: (mm) => new Hmm(mm),
  freeNotifier: ({ data: hmm }) => hmm.free(),
  release: ({ data: hmm }) => hmm.release(),
};

export class Hmm {
  readonly mm: MmStruct;
  mirrors: HmmMirror[] = [];
  /** Held for writing to come or go, for reading while mirrors are called. @see mirrors_sem */
  readonly mirrorsSem: RwSemaphore;
  /** Hears of every change of the address space. */
  readonly changes: MmuIntervalNotifier<Hmm>;
  /** Snapshots that hmmVmaRangeDone() hasn't ended. */
  private readonly ranges: Set<HmmVmaRange> = new Set();

  /** @throws KernelError ENOMEM */
  constructor(mm: MmStruct) {
    const { faults, lockdep } = mm.vm.kernel;
    faults.point(HMM_FAULT_POINT).alloc(`a struct hmm of mm ${mm.id}`);
    this.mm = mm;
    this.mirrorsSem = new RwSemaphore(lockdep, `mirrors_sem of mm ${mm.id}`);
    this.changes = new MmuIntervalNotifier(INVALIDATIONS, this);
  }

  /** A snapshot begins: no change is under way that it could miss. */
  beginSnapshot(range: HmmVmaRange): void {
    this.ranges.add(range);
  }

  /** @returns false where it has ended before @see hmm_vma_range_done() */
  takeSnapshot(range: HmmVmaRange): boolean {
    return this.ranges.delete(range);
  }

  /** What is known of [start, end) isn't true any more. @see hmm_invalidate_range() */
  endSnapshots(start: VirtAddr, end: VirtAddr): void {
    for (const range of this.ranges) range.invalidate(start, end);
  }

  /** The address space ends; its mirrors have dropped everything by now. They go one by one, and may do what they like meanwhile. @see hmm_release() */
  *release(): Sleeps<void> {
    // Ends: each turn takes a mirror off the list, and none is added to an address space that has ended.
    for (;;) {
      yield* this.mirrorsSem.downWrite();
      const mirror = this.mirrors.shift();
      this.mirrorsSem.upWrite();
      if (mirror === undefined) return;
      if (mirror.ops.release) yield* mirror.ops.release(mirror);
    }
  }

  /** Nobody has it any more. @throws KernelBug when somebody mirrors by it all the same */
  free(): void {
    if (this.mirrors.length > 0) throw new KernelBug(`mm ${this.mm.id} is mirrored and its struct hmm freed`);
  }
}

/** That of an address space; undefined where nobody mirrors it. @see mm->hmm */
export function hmmOf(mm: MmStruct): Hmm | undefined {
  return mm.notifiers?.list.find(({ ops }) => ops === LIFE)?.data as Hmm | undefined;
}

/**
 * The one of an address space, made where there is none. Paired with putHmm(). The mmap lock is held for writing.
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

/** Drops what getHmm() gave. The last one ends it, and a mirror that comes then makes another. @see hmm_free() */
export function* putHmm(life: MmuNotifier<Hmm>): Sleeps<void> {
  const last = life.users === 1;
  mmuNotifierPut(life);
  if (last) yield* mmuIntervalNotifierRemove(life.data.changes);
}
