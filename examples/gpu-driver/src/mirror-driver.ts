// A driver for devices that compute on a process's pointers and have no use for memory of their own, as a network card with
// on-demand paging: nothing migrates, and every access goes to the pages of the process. The port is `GpuDriver` of
// @hetmem/gpu/driver; the reference device isn't part of it.
import type { DeviceContext, DeviceMapping, GpuDevice, GpuDriver } from "@hetmem/gpu/driver";
import { allocHmmPfns, HmmPfn, hmmPfnFlags, hmmPfnToPage, hmmRangeFault } from "@hetmem/hmm-mirror";
import type { HmmRange, HmmRangeResult } from "@hetmem/hmm-mirror";
import { PAGE_SIZE, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
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

export const mirrorDriver: GpuDriver = {
  name: "mirror",
  /** Devices whose memory only they reach: it stays unplugged. */
  match: ({ memory }) => memory === "private",
  *probe() {
    return new MirrorDevice();
  },
};

class MirrorDevice implements GpuDevice {
  /** Shown by `gpu stats`. */
  readonly stats: Record<"contexts" | "misses" | "invalidations", number> = {
    contexts: 0,
    misses: 0,
    invalidations: 0,
  };

  *open(mm: MmStruct): Sleeps<DeviceContext> {
    const context = new MirrorContext(this, mm);
    yield* mmuIntervalNotifierInsert(context.notifier, mm, virtAddr(0), 2 ** 47);
    this.stats.contexts++;
    return context;
  }

  /** The machine has closed every context, and there is no memory to give back. */
  *remove(): Sleeps<void> {}
}

class MirrorContext implements DeviceContext {
  readonly notifier: MmuIntervalNotifier = new MmuIntervalNotifier(this, undefined);
  private readonly device: MirrorDevice;
  private readonly mm: MmStruct;
  /** The device's page table, by address of the page. */
  private readonly table: Map<number, DeviceMapping> = new Map();

  constructor(device: MirrorDevice, mm: MmStruct) {
    this.device = device;
    this.mm = mm;
  }

  get mirroredPages(): number {
    return this.table.size;
  }

  read(address: VirtAddr, into: Uint8Array): Sleeps<void> {
    const { contents } = this.mm.vm.memmap;
    return this.access(address, into, false, (page, offset, bytes) => contents.read(page, offset, bytes));
  }

  write(address: VirtAddr, from: Uint8Array): Sleeps<void> {
    const { contents } = this.mm.vm.memmap;
    return this.access(address, from, true, (page, offset, bytes) => contents.write(page, offset, bytes));
  }

  lookup(address: VirtAddr): DeviceMapping | undefined {
    return this.table.get(address - (address % PAGE_SIZE));
  }

  *close(): Sleeps<void> {
    this.table.clear();
    yield* mmuIntervalNotifierRemove(this.notifier);
  }

  /** Called before each change of the process's page table. */
  *invalidate(_: MmuIntervalNotifier, { start, end }: MmuNotifierRange, sequence: number): Sleeps<boolean> {
    mmuIntervalSetSeq(this.notifier, sequence);
    for (const at of this.table.keys()) if (at >= start && at < end) this.table.delete(at);
    this.device.stats.invalidations++;
    return true;
  }

  /** Cuts an access at the ends of pages. A miss of the device's page table is answered before each piece. */
  private *access(
    address: VirtAddr,
    bytes: Uint8Array,
    write: boolean,
    use: (page: DeviceMapping["page"], offset: number, part: Uint8Array) => void,
  ): Sleeps<void> {
    for (let done = 0; done < bytes.length;) {
      const at = virtAddr(address + done);
      const offset = at % PAGE_SIZE;
      const length = Math.min(PAGE_SIZE - offset, bytes.length - done);
      const known = this.lookup(at);
      const mapping =
        known && (known.write || !write) ? known : yield* this.fault(virtAddr(at - offset), write);
      use(mapping.page, offset, bytes.subarray(done, done + length));
      done += length;
    }
  }

  private *fault(start: VirtAddr, write: boolean): Sleeps<DeviceMapping> {
    const { notifier, mm } = this;
    this.device.stats.misses++;
    const hmmPfns = allocHmmPfns(1);
    const defaultFlags = write ? HmmPfn.reqFault | HmmPfn.reqWrite : HmmPfn.reqFault;
    const range = {
      notifier,
      start,
      end: virtAddr(start + PAGE_SIZE),
      hmmPfns,
      defaultFlags,
      pfnFlagsMask: 0,
    };
    // Ends: when no other task changes the range between the look and the check.
    for (;;) {
      const notifierSeq = yield* mmuIntervalReadBegin(notifier);
      const result = yield* this.look({ ...range, notifierSeq });
      if (result === "ok" && !mmuIntervalReadRetry(notifier, notifierSeq)) break;
    }
    const mapping = { page: hmmPfnToPage(hmmPfns, 0), write: (hmmPfnFlags(hmmPfns, 0) & HmmPfn.write) !== 0 };
    // The cpu doesn't see what a device writes: without this, reclaim could drop the page as clean.
    if (mapping.write) setPageDirty(mm.vm, mapping.page);
    this.table.set(start, mapping);
    return mapping;
  }

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
