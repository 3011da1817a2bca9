// A context: the device's mirror of one address space, with the device page table, the notifier that invalidates it,
// and the requests of user space. An entry was filled by hmmRangeFault() and is removed before any change of its
// range. Kernel counterpart: struct dmirror and the ioctls of lib/test_hmm.c.
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
import { DevicePageTable, DevicePte } from "./device-page-table.ts";
import type { DeviceContext, DeviceMapping } from "./driver/gpu-driver.ts";
import { atomicAdd, type EngineRun, peek, readThrough, writeThrough } from "./engine.ts";
import { hasExclusive, makeExclusive } from "./exclusive.ts";
import type { Gpu } from "./gpu.ts";
import { migrateToDevice, migrateToSystem } from "./migrate.ts";
import { snapshotRange } from "./snapshot.ts";

export type { EngineRun } from "./engine.ts";

/** The range of a context's notifier. @see dmirror_fops_open(): ULONG_MAX & PAGE_MASK */
export const WHOLE_ADDRESS_SPACE = {
  start: 0 as VirtAddr,
  length: 2 ** 47,
  end: (2 ** 47) as VirtAddr,
} as const;

export class GpuContext implements DeviceContext {
  readonly gpu: Gpu;
  readonly mm: MmStruct;
  readonly table: DevicePageTable;
  /** Held for every change of the table. */
  readonly lock: Mutex;
  readonly notifier: MmuIntervalNotifier<GpuContext>;
  /** Number of misses of the engine per 64 KiB block, for policies. */
  readonly misses: Map<number, number> = new Map();
  /** Number of running requests. */
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

  /** Entries of the device's page table. */
  get mirroredPages(): number {
    return [...this.table.entries()].length;
  }

  /** The entry of the device's page table for an address, without a fault. */
  lookup(address: VirtAddr): DeviceMapping | undefined {
    const flags = this.table.flags(address);
    if ((flags & DevicePte.read) === 0) return undefined;
    return { page: this.table.page(address), write: (flags & DevicePte.write) !== 0 };
  }

  /**
   * Reads bytes of the process through the device.
   *
   * @param into receives the bytes; after an error, the bytes before the failing page are valid
   * @returns counts of pages and faults
   * @throws KernelError EFAULT where the process can't read, EIO for contents lost in a reset, EBUSY when a page
   * changes in every attempt, ENODEV when the device is lost, ESRCH when the process has ended, EBADF after close()
   * @see HMM_DMIRROR_READ
   */
  read(address: VirtAddr, into: Uint8Array): Sleeps<EngineRun> {
    return this.within(() => readThrough(this, address, into));
  }

  /**
   * Writes bytes of the process through the device.
   *
   * @throws KernelError as read(), and EPERM for a read-only mapping
   * @see HMM_DMIRROR_WRITE
   */
  write(address: VirtAddr, from: Uint8Array): Sleeps<EngineRun> {
    return this.within(() => writeThrough(this, address, from));
  }

  /**
   * Adds to a little-endian 32-bit word of the process atomically with respect to cpu and device. Directly in the
   * device's own memory, else under exclusive access.
   *
   * @returns the old value
   * @throws KernelError EINVAL for an address that isn't a multiple of 4, EBUSY for a page that can't be made
   * exclusive (a file page, or one that changes in every attempt), and errors of write()
   */
  atomicAdd(address: VirtAddr, value: number): Sleeps<number> {
    return this.within(() => atomicAdd(this, address, value));
  }

  /**
   * Reads through the existing entries of the device's page table, without faults.
   *
   * @throws KernelError ENOENT for a missing entry
   * @see dmirror_do_read()
   */
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
   * Migrates pages to the device's memory. Pages that can't migrate stay: pinned ones, file pages, pages of other
   * devices, and those without room on the device.
   *
   * @param address page-aligned
   * @param length bytes, a multiple of the page size
   * @returns the number of migrated pages
   * @throws KernelError EINVAL where there is no readable mapping; pages before it have migrated
   * @see HMM_DMIRROR_MIGRATE_TO_DEV
   */
  migrateTo(address: VirtAddr, length: number): Sleeps<number> {
    return this.within(() => migrateToDevice(this, address, this.endOf(address, length)));
  }

  /**
   * Migrates pages of this device back to RAM.
   *
   * @returns the number of migrated pages
   * @throws KernelError as migrateTo(), and ENOMEM when there is no memory for any of them
   * @see HMM_DMIRROR_MIGRATE_TO_SYS
   */
  migrateBack(address: VirtAddr, length: number): Sleeps<number> {
    return this.within(() => migrateToSystem(this, address, this.endOf(address, length)));
  }

  /**
   * The access that the device would have to each page, as DmirrorProt bits, without faults.
   *
   * @returns one byte per page
   * @throws KernelError EBUSY when the range changes in every attempt
   * @see HMM_DMIRROR_SNAPSHOT
   */
  snapshot(address: VirtAddr, length: number): Sleeps<Uint8Array> {
    return this.within(() => snapshotRange(this, address, this.endOf(address, length)));
  }

  /**
   * Makes pages device-exclusive until the next cpu access. Pages in the device's own memory are left alone.
   *
   * @throws KernelError EBUSY for a page that can't be made exclusive; pages before it are exclusive then. EFAULT,
   * EPERM where the process can't write
   * @see HMM_DMIRROR_EXCLUSIVE
   */
  exclusive(address: VirtAddr, length: number): Sleeps<void> {
    return this.within(() => makeExclusive(this, address, this.endOf(address, length)));
  }

  /** Whether any page of a range is device-exclusive. @see HMM_DMIRROR_CHECK_EXCLUSIVE, which returns EPERM then */
  hasExclusive(address: VirtAddr, length: number): boolean {
    return hasExclusive(this, address, this.endOf(address, length));
  }

  /**
   * Stops mirroring the address space: new requests fail, running ones are waited for. Its pages in device memory
   * stay until a cpu access.
   *
   * @see dmirror_fops_release(), which evicts the whole device, including pages of other processes
   */
  *close(): Sleeps<void> {
    if (!this.gpu.contexts.delete(this)) return;
    yield* this.idle.waitEvent(() => this.running === 0);
    // Before the notifier is removed: afterwards pages of entries could be freed without an invalidation.
    this.table.clear(WHOLE_ADDRESS_SPACE.start, WHOLE_ADDRESS_SPACE.end);
    yield* mmuIntervalNotifierRemove(this.notifier);
  }

  /** Runs a request with a reference on the address space. */
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

  /** The end of a range. @throws KernelError EINVAL for a range that isn't whole pages */
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
 * The invalidate callback: on return the device has no access to the range. The device's own migrations are no
 * exception, unlike in lib/test_hmm.c: the device must not write to a page that is being copied.
 *
 * @see dmirror_interval_invalidate()
 */
function* invalidate(
  { data: context }: MmuIntervalNotifier<GpuContext>,
  range: MmuNotifierRange,
  sequence: number,
): Sleeps<boolean> {
  const { gpu, lock, notifier, table } = context;
  // Our own makeDeviceExclusiveRange(): the page stays in place.
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
