// The device's view of one address space: its page table there, the notifier that keeps it true, and what user space can
// ask for. An entry is there because hmmRangeFault() said so and nothing has changed since; every change takes it away
// before it is made. Kernel counterpart: struct dmirror and the ioctls of lib/test_hmm.c.
import { KernelError, Mutex, PAGE_SIZE, type Sleeps, type VirtAddr, WaitQueue } from "@hetmem/kernel";
import { mmgetNotZero, mmput, type MmStruct } from "@hetmem/mm";
import { setPageDirty } from "@hetmem/mm/file";
import {
  isOwnDoing,
  MmuIntervalNotifier,
  mmuIntervalNotifierRemove,
  mmuIntervalSetSeq,
  type MmuNotifierRange,
  mmuNotifierRangeBlockable,
} from "@hetmem/mmu-notifier";
import { DevicePageTable } from "./device-page-table.ts";
import { atomicAdd, type EngineRun, peek, readThrough, writeThrough } from "./engine.ts";
import { hasExclusive, makeExclusive } from "./exclusive.ts";
import type { Gpu } from "./gpu.ts";
import { migrateToDevice, migrateToSystem } from "./migrate.ts";
import { snapshotRange } from "./snapshot.ts";

export type { EngineRun } from "./engine.ts";

/** What a context hears of. @see dmirror_fops_open(): ULONG_MAX & PAGE_MASK */
export const WHOLE_ADDRESS_SPACE = {
  start: 0 as VirtAddr,
  length: 2 ** 47,
  end: (2 ** 47) as VirtAddr,
} as const;

export class GpuContext {
  readonly gpu: Gpu;
  readonly mm: MmStruct;
  readonly table: DevicePageTable;
  /** Held while the table changes, by whoever changes it. */
  readonly lock: Mutex;
  readonly notifier: MmuIntervalNotifier<GpuContext>;
  /** Misses of the engine by block of 64 KiB: what a policy may decide by. */
  readonly misses: Map<number, number> = new Map();
  /** What user space has asked for and has not been answered. */
  private running = 0;
  private readonly idle: WaitQueue;

  constructor(gpu: Gpu, mm: MmStruct) {
    this.gpu = gpu;
    this.mm = mm;
    this.table = new DevicePageTable((page) => void setPageDirty(gpu.vm, page));
    this.lock = new Mutex(gpu.kernel.lockdep, `${gpu.name}'s page table for mm ${mm.id}`);
    this.idle = new WaitQueue(`the last request to ${gpu.name} for mm ${mm.id}`);
    this.notifier = new MmuIntervalNotifier({ invalidate }, this);
  }

  /**
   * The device reads bytes of the process.
   *
   * @param into how many, and where they go; after an error, those in front of it have been read
   * @throws KernelError EFAULT where the process may not read either, EIO for contents that a reset has lost, EBUSY when
   *   something always changes, ENODEV when the device is dead, ESRCH when the process has ended
   * @see HMM_DMIRROR_READ
   */
  read(address: VirtAddr, into: Uint8Array): Sleeps<EngineRun> {
    return this.within(() => readThrough(this, address, into));
  }

  /** The device writes. @throws KernelError as read() does, and EPERM where the mapping is read only @see HMM_DMIRROR_WRITE */
  write(address: VirtAddr, from: Uint8Array): Sleeps<EngineRun> {
    return this.within(() => writeThrough(this, address, from));
  }

  /**
   * Adds to 32 bits in the process's memory, little endian, so that neither cpu nor device ever sees half of it. In the
   * device's own memory it does that at once; elsewhere it has the page for itself meanwhile.
   *
   * @returns what was there before
   * @throws KernelError EINVAL off a multiple of four, EBUSY for a page that can't be the device's alone (of a file, or
   *   always in use), and what write() throws
   */
  atomicAdd(address: VirtAddr, value: number): Sleeps<number> {
    return this.within(() => atomicAdd(this, address, value));
  }

  /** Reads what the device's page table reaches now, and lets nothing fault. @throws KernelError ENOENT where that is nothing @see dmirror_do_read() */
  *peek(address: VirtAddr, into: Uint8Array): Sleeps<void> {
    this.gpu.expectAlive();
    yield* this.lock.lock();
    try {
      peek(this, address, into);
    } finally {
      this.lock.unlock();
    }
  }

  /**
   * Moves pages to the device's memory. Those stay that can't move: shared with others, pinned, of files, on another
   * device; and those for which there is no room.
   *
   * @param length bytes; both ends are ends of pages
   * @returns pages that moved
   * @throws KernelError EINVAL where there is no mapping, or none that can be read; what came before has moved
   * @see HMM_DMIRROR_MIGRATE_TO_DEV
   */
  migrateTo(address: VirtAddr, length: number): Sleeps<number> {
    return this.within(() => migrateToDevice(this, address, this.endOf(address, length)));
  }

  /** Moves pages of this device back. @returns pages that moved @throws KernelError as migrateTo(), and ENOMEM when there is no room for any @see HMM_DMIRROR_MIGRATE_TO_SYS */
  migrateBack(address: VirtAddr, length: number): Sleeps<number> {
    return this.within(() => migrateToSystem(this, address, this.endOf(address, length)));
  }

  /**
   * What the device would reach, page by page, as DmirrorProt bits. Nothing faults.
   *
   * @throws KernelError EBUSY when something always changes
   * @see HMM_DMIRROR_SNAPSHOT
   */
  snapshot(address: VirtAddr, length: number): Sleeps<Uint8Array> {
    return this.within(() => snapshotRange(this, address, this.endOf(address, length)));
  }

  /**
   * Takes pages for the device alone, until a cpu touches them. Those in its own memory stay as they are.
   *
   * @throws KernelError EBUSY when it can't have one of them; those before it, it has. EFAULT, EPERM where the process may
   *   not write
   * @see HMM_DMIRROR_EXCLUSIVE
   */
  exclusive(address: VirtAddr, length: number): Sleeps<void> {
    return this.within(() => makeExclusive(this, address, this.endOf(address, length)));
  }

  /** Whether the device has any page of a range for itself. @see HMM_DMIRROR_CHECK_EXCLUSIVE, which answers EPERM then */
  hasExclusive(address: VirtAddr, length: number): boolean {
    return hasExclusive(this, address, this.endOf(address, length));
  }

  /**
   * The device mirrors the address space no longer: what runs is waited for, and nothing begins. Its pages in the device stay there: a touch brings them back.
   *
   * @see dmirror_fops_release(), which evicts the whole device: others' pages too
   */
  *close(): Sleeps<void> {
    if (!this.gpu.contexts.delete(this)) return;
    yield* this.idle.waitEvent(() => this.running === 0);
    // While the notifier still listens: behind it, pages that entries name may be gone.
    this.table.clear(WHOLE_ADDRESS_SPACE.start, WHOLE_ADDRESS_SPACE.end);
    yield* mmuIntervalNotifierRemove(this.notifier);
  }

  /** The address space can't end before the body has. */
  private *within<T>(body: () => Sleeps<T>): Sleeps<T> {
    const { gpu, mm } = this;
    gpu.expectAlive();
    if (!gpu.contexts.has(this)) throw new KernelError("EBADF", `${gpu.name} no longer mirrors mm ${mm.id}`);
    if (!mmgetNotZero(mm)) throw new KernelError("ESRCH", `mm ${mm.id} has ended`);
    this.running++;
    try {
      return yield* body();
    } finally {
      this.running--;
      yield* mmput(mm);
    }
  }

  /** @throws KernelError EINVAL for what isn't whole pages */
  private endOf(address: VirtAddr, length: number): VirtAddr {
    if (address % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0 || length <= 0)
      throw new KernelError(
        "EINVAL",
        `0x${address.toString(16)}+0x${length.toString(16)} are no whole pages`,
      );
    return (address + length) as VirtAddr;
  }
}

/**
 * The promise of a mirror: when this returns, the device can't reach the range any more. Own migrations are no exception
 * (lib/test_hmm.c makes one): while the page is copied, the device must not write to the old one.
 *
 * @see dmirror_interval_invalidate()
 */
function* invalidate(
  { data: context }: MmuIntervalNotifier<GpuContext>,
  range: MmuNotifierRange,
  sequence: number,
): Sleeps<boolean> {
  const { gpu, lock, notifier, table } = context;
  // The page stays where it is, and is about to be the device's alone.
  if (isOwnDoing(range, context)) return true;
  const blockable = mmuNotifierRangeBlockable(range);
  if (blockable) yield* lock.lock();
  else if (!lock.tryLock()) return false;
  mmuIntervalSetSeq(notifier, sequence);
  table.clear(range.start, range.end);
  gpu.stats.invalidations++;
  if (blockable) yield* gpu.dma.flushTlb();
  else gpu.dma.flushTlbAtomic();
  lock.unlock();
  return true;
}
