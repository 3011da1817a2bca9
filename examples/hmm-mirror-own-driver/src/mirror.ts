// The driver: a device that reads and writes a process's memory by the process's own pointers. The device has a page table,
// here a map. An entry is made when the device misses one, with hmmRangeFault(), and goes when the notifier says that the
// process's entry is about to change.
import {
  allocHmmPfns,
  HmmPfn,
  hmmPfnFlags,
  hmmPfnToPage,
  type HmmRange,
  hmmRangeFault,
  type HmmRangeResult,
} from "@hetmem/hmm-mirror";
import {
  condResched,
  formatBytes,
  KernelError,
  type Page,
  PAGE_SIZE,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { mmgetNotZero, mmput, type MmStruct } from "@hetmem/mm";
import { setPageDirty } from "@hetmem/mm/file";
import {
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
  type MmuNotifierRange,
} from "@hetmem/mmu-notifier";

/** An entry of the device's page table. It holds no reference on the page: the notifier removes it in time. */
interface Entry {
  readonly page: Page;
  readonly writable: boolean;
}

export class Mirror {
  /** By address of the page. */
  readonly table: Map<number, Entry> = new Map();
  private readonly mm: MmStruct;
  private readonly notifier: MmuIntervalNotifier = new MmuIntervalNotifier(this, undefined);

  constructor(mm: MmStruct) {
    this.mm = mm;
  }

  /** Listens to the whole address space, before the device looks at any of it. */
  open(): Sleeps<void> {
    return mmuIntervalNotifierInsert(this.notifier, this.mm, virtAddr(0), 2 ** 47);
  }

  *close(): Sleeps<void> {
    this.table.clear();
    yield* mmuIntervalNotifierRemove(this.notifier);
  }

  /** Called before each change of the process's page table. On return the device reaches nothing of the range. */
  *invalidate(_: MmuIntervalNotifier, range: MmuNotifierRange, sequence: number): Sleeps<boolean> {
    mmuIntervalSetSeq(this.notifier, sequence);
    for (const at of this.table.keys()) if (at >= range.start && at < range.end) this.table.delete(at);
    console.log(`  device: ${range.event} of ${formatBytes(range.end - range.start)}`);
    return true;
  }

  /** The device reads. @throws KernelError EFAULT where the process can't */
  *read(address: VirtAddr, into: Uint8Array): Sleeps<void> {
    const { page } = yield* this.entryFor(address, false);
    this.mm.vm.memmap.contents.read(page, address % PAGE_SIZE, into);
  }

  /** The device writes. @throws KernelError EFAULT where the process can't read, EPERM where it can't write */
  *write(address: VirtAddr, from: Uint8Array): Sleeps<void> {
    const { page } = yield* this.entryFor(address, true);
    this.mm.vm.memmap.contents.write(page, address % PAGE_SIZE, from);
  }

  /** The entry of the page of an address; a miss makes it. */
  private *entryFor(address: VirtAddr, write: boolean): Sleeps<Entry> {
    const start = (address - (address % PAGE_SIZE)) as VirtAddr;
    const known = this.table.get(start);
    if (known !== undefined && (known.writable || !write)) return known;
    if (!mmgetNotZero(this.mm)) throw new KernelError("ESRCH", "the process has ended");
    try {
      return yield* this.fault(start, write);
    } finally {
      yield* mmput(this.mm);
    }
  }

  /** Looks at the process's page table, and looks again as long as it changes meanwhile. */
  private *fault(start: VirtAddr, write: boolean): Sleeps<Entry> {
    const { mm, notifier } = this;
    const hmmPfns = allocHmmPfns(1);
    const range = {
      notifier,
      start,
      end: (start + PAGE_SIZE) as VirtAddr,
      hmmPfns,
      defaultFlags: write ? HmmPfn.reqFault | HmmPfn.reqWrite : HmmPfn.reqFault,
      pfnFlagsMask: 0,
    };
    // Ends: when no other task changes the range between the look and the check.
    for (;;) {
      const notifierSeq = yield* mmuIntervalReadBegin(notifier);
      const result = yield* this.look({ ...range, notifierSeq });
      // A kernel driver takes its lock here, and may sleep. From the check on, nothing does until the entry is made.
      yield condResched;
      if (result === "ok" && !mmuIntervalReadRetry(notifier, notifierSeq)) break;
    }
    const page = hmmPfnToPage(hmmPfns, 0);
    const writable = (hmmPfnFlags(hmmPfns, 0) & HmmPfn.write) !== 0;
    // The cpu doesn't see what a device writes: without this, reclaim could drop the page as clean.
    if (writable) setPageDirty(mm.vm, page);
    const entry = { page, writable };
    this.table.set(start, entry);
    return entry;
  }

  /** hmmRangeFault() with the mmap lock held. */
  private *look(range: HmmRange): Sleeps<HmmRangeResult> {
    const { mmapLock } = this.mm;
    yield* mmapLock.downRead();
    try {
      return yield* hmmRangeFault(range);
    } finally {
      mmapLock.upRead();
    }
  }
}
