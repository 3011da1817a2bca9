// Two drivers of a device that has page tables of its own, as drivers are to be written: one over interval notifiers and
// hmmRangeFault(), one over a mirror of 4.14. Each fills its tables under its lock, and drops from them under the same.
import { Mutex, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmgetNotZero, mmput, type MmStruct } from "@hetmem/mm";
import {
  isOwnDoing,
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  type MmuIntervalNotifierOps,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
  mmuNotifierRangeBlockable,
} from "@hetmem/mmu-notifier";
import {
  allocHmmPfns,
  HmmMirror,
  type HmmMirrorOps,
  hmmMirrorRegister,
  hmmMirrorUnregister,
  HmmPfn,
  hmmPfnFlags,
  hmmPfnToPage,
  hmmRangeFault,
  hmmVmaFault,
  HmmVmaPfn,
  hmmVmaRangeDone,
} from "../src/index.ts";
import { at, BASE } from "@hetmem/test-machines/mirror-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";

/** What a device may do with a page of the process. */
export interface DeviceEntry {
  readonly page: number;
  readonly write: boolean;
}

/** A device that mirrors some pages of a process. */
export abstract class Device {
  readonly mm: MmStruct;
  readonly name: string;
  /** Its page table: by page of the process. */
  readonly table: Map<number, DeviceEntry> = new Map();
  readonly lock: Mutex;

  constructor(mm: MmStruct, name: string) {
    this.mm = mm;
    this.name = name;
    this.lock = new Mutex(mm.vm.kernel.lockdep, name);
  }

  /**
   * Faults pages in for the device, and puts them into its table.
   *
   * @throws KernelError where that can't be
   */
  abstract mirror(first: number, count: number, write: boolean): Sleeps<void>;
  /** It lets go of the process: of its pages first, since nobody tells it of changes any more. */
  abstract close(): Sleeps<void>;

  /** The same as mirror() for an address space that may end meanwhile. */
  *mirrorAlive(first: number, count: number, write: boolean): Sleeps<void> {
    if (!mmgetNotZero(this.mm)) return;
    try {
      yield* this.mirror(first, count, write);
    } finally {
      yield* mmput(this.mm);
    }
  }

  drop(start: VirtAddr, end: VirtAddr): void {
    for (const page of this.table.keys()) if (at(page) >= start && at(page) < end) this.table.delete(page);
  }
}

/** @see dmirror_interval_invalidate() in lib/test_hmm.c */
const RANGE_DEVICE: MmuIntervalNotifierOps<RangeDevice> = {
  *invalidate(notifier, range, sequence) {
    const { data: device } = notifier;
    if (isOwnDoing(range, device)) return true;
    if (mmuNotifierRangeBlockable(range)) yield* device.lock.lock();
    else if (!device.lock.tryLock()) return false;
    mmuIntervalSetSeq(notifier, sequence);
    device.drop(range.start, range.end);
    device.lock.unlock();
    return true;
  },
};

/** @see lib/test_hmm.c */
export class RangeDevice extends Device {
  private readonly notifier: MmuIntervalNotifier<RangeDevice>;

  /** It mirrors `count` pages from the first on. */
  constructor(mm: MmStruct, name: string, count: number) {
    super(mm, name);
    this.notifier = new MmuIntervalNotifier(RANGE_DEVICE, this);
    run(mmuIntervalNotifierInsert(this.notifier, mm, at(0), count * PAGE));
  }

  *mirror(first: number, count: number, write: boolean): Sleeps<void> {
    const { mm, notifier } = this;
    const range = {
      notifier,
      notifierSeq: 0,
      start: at(first),
      end: at(first + count),
      hmmPfns: allocHmmPfns(count),
      defaultFlags: HmmPfn.reqFault | (write ? HmmPfn.reqWrite : 0),
      pfnFlagsMask: 0,
      devPrivateOwner: this,
    };
    for (;;) {
      range.notifierSeq = yield* mmuIntervalReadBegin(notifier);
      yield* mm.mmapLock.downRead();
      try {
        if ((yield* hmmRangeFault(range)) === "busy") continue;
      } finally {
        mm.mmapLock.upRead();
      }
      yield* this.lock.lock();
      const valid = !mmuIntervalReadRetry(notifier, range.notifierSeq);
      for (let i = 0; i < (valid ? count : 0); i++) {
        const mayWrite = (hmmPfnFlags(range.hmmPfns, i) & HmmPfn.write) !== 0;
        this.table.set(first + i, { page: hmmPfnToPage(range.hmmPfns, i), write: mayWrite });
      }
      this.lock.unlock();
      if (valid) return;
    }
  }

  *close(): Sleeps<void> {
    this.table.clear();
    yield* mmuIntervalNotifierRemove(this.notifier);
  }
}

const MIRROR_DEVICE: HmmMirrorOps<MirrorDevice> = {
  *syncCpuDevicePagetables({ data: device }, _update, start, end) {
    yield* device.lock.lock();
    device.drop(start, end);
    device.lock.unlock();
  },
  *release({ data: device }) {
    device.released = true;
  },
};

/** @see Documentation/vm/hmm.txt of 4.14 */
export class MirrorDevice extends Device {
  readonly hmmMirror: HmmMirror<MirrorDevice>;
  released = false;

  constructor(mm: MmStruct, name: string) {
    super(mm, name);
    this.hmmMirror = new HmmMirror(MIRROR_DEVICE, this);
  }

  *open(): Sleeps<void> {
    yield* this.mm.mmapLock.downWrite();
    try {
      yield* hmmMirrorRegister(this.hmmMirror, this.mm);
    } finally {
      this.mm.mmapLock.upWrite();
    }
  }

  *mirror(first: number, count: number, write: boolean): Sleeps<void> {
    const { mm } = this;
    const pfns = allocHmmPfns(count);
    for (;;) {
      yield* mm.mmapLock.downRead();
      try {
        const vma = mm.vmas.at(at(first));
        if (vma === undefined) return;
        const range = yield* hmmVmaFault(vma, at(first), at(first + count), pfns, write);
        yield* this.lock.lock();
        const valid = hmmVmaRangeDone(range);
        for (let i = 0; i < (valid ? count : 0); i++) {
          const flags = pfns[i * 2 + 1] as number;
          const entry = { page: pfns[i * 2] as number, write: (flags & HmmVmaPfn.write) !== 0 };
          if ((flags & HmmVmaPfn.valid) !== 0) this.table.set(first + i, entry);
        }
        this.lock.unlock();
        if (valid) return;
      } finally {
        mm.mmapLock.upRead();
      }
    }
  }

  *close(): Sleeps<void> {
    this.table.clear();
    if (this.hmmMirror.life !== undefined) yield* hmmMirrorUnregister(this.hmmMirror);
  }
}

/** What a device has must be what the process has, and may never be written where the process may not. @returns what is wrong */
export function strayEntry(
  { mm, name, table }: Device,
  mapped: (page: number) => DeviceEntry | undefined,
): string | undefined {
  for (const [page, entry] of table) {
    const real = mapped(page);
    if (real?.page !== entry.page)
      return `${name} has page ${entry.page} at 0x${(BASE + page * PAGE).toString(16)}, and mm ${mm.id} ${real?.page ?? "none"}`;
    if (entry.write && !real.write) return `${name} may write page ${entry.page}, and mm ${mm.id} may not`;
  }
  return undefined;
}
