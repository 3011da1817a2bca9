// Filling the device's page table: hmmRangeFault() under the notifier's sequence. The cpu's page table is read
// without blocking changes; then, under the lock that invalidations take, the sequence is checked for changes since.
// All entries except exclusive ones are filled here. Kernel counterpart: dmirror_range_fault() and dmirror_do_fault()
// in lib/test_hmm.c.
import {
  allocHmmPfns,
  HmmPfn,
  hmmPfnFlags,
  hmmPfnToPage,
  type HmmRange,
  type HmmRangeResult,
} from "@hetmem/hmm-mirror";
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmuIntervalReadBegin, mmuIntervalReadRetry } from "@hetmem/mmu-notifier";
import { DevicePte } from "./device-page-table.ts";
import type { GpuContext } from "./gpu-context.ts";

/** Number of pages per hmmRangeFault(). */
const RANGE_PAGES = 64;
/** Number of attempts before EBUSY. @see HMM_RANGE_DEFAULT_TIMEOUT: the kernel's drivers use a timeout */
export const MAX_RETRIES = 1000;

/**
 * Fills device entries for a range, faulting pages into the process as needed.
 *
 * @param write whether the device needs write access
 * @returns the first page without write access although `write` is set: a page in the device's own memory shared
 * since a fork, for which hmmRangeFault() doesn't fault
 * @throws KernelError EFAULT, EPERM as hmmRangeFault(); EBUSY when the range changes in every attempt; EIO for a page
 * with lost contents; ENODEV when the device is lost
 */
export function* faultRange(
  context: GpuContext,
  start: VirtAddr,
  end: VirtAddr,
  write: boolean,
): Sleeps<VirtAddr | undefined> {
  const asked = HmmPfn.reqFault | (write ? HmmPfn.reqWrite : 0);
  let readOnly: VirtAddr | undefined;
  for (const range of pieces(context, start, end, asked)) {
    yield* underSequence(context, range, () => {
      for (let i = 0; i < pagesOf(range); i++) expectContents(context, range, i);
      for (let i = 0; i < pagesOf(range); i++) mapEntry(context, range, i);
    });
    if (write) readOnly ??= firstReadOnly(range);
  }
  return readOnly;
}

/** Fills entries for the pages of a range that are in the device's own memory. Others are left to later faults. */
export function* mapOwnPages(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { memory } = context.gpu;
  for (const range of pieces(context, start, end, 0)) {
    yield* underSequence(context, range, () => {
      for (let i = 0; i < pagesOf(range); i++) {
        const page = hmmPfnToPage(range.hmmPfns, i);
        if ((hmmPfnFlags(range.hmmPfns, i) & HmmPfn.valid) !== 0 && memory.owns(page) && !memory.isLost(page))
          mapEntry(context, range, i);
      }
    });
  }
}

/** Cuts a range into pieces of up to RANGE_PAGES, which share one result array. */
export function* pieces(
  { gpu, notifier }: GpuContext,
  start: VirtAddr,
  end: VirtAddr,
  defaultFlags: number,
): Generator<HmmRange, void, void> {
  const hmmPfns = allocHmmPfns(Math.min(RANGE_PAGES, (end - start) / PAGE_SIZE));
  for (let at = start; at < end;) {
    const next = Math.min(end, at + RANGE_PAGES * PAGE_SIZE) as VirtAddr;
    const [notifierSeq, pfnFlagsMask] = [0, 0];
    yield {
      notifier,
      notifierSeq,
      start: at,
      end: next,
      hmmPfns,
      defaultFlags,
      pfnFlagsMask,
      devPrivateOwner: gpu,
    };
    at = next;
  }
}

/**
 * Runs hmmRangeFault(), or the function that takes its place, until its results are valid, and calls `use` with them while changes are blocked.
 *
 * @param use atomic; called with the context's lock held
 */
export function* underSequence(
  { gpu, lock, mm }: GpuContext,
  range: HmmRange,
  use: () => void,
): Sleeps<void> {
  for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
    range.notifierSeq = yield* mmuIntervalReadBegin(range.notifier);
    yield* mm.mmapLock.downRead();
    let result: HmmRangeResult;
    try {
      result = yield* gpu.rangeFault(range);
    } finally {
      mm.mmapLock.upRead();
    }
    if (result === "ok") {
      yield* lock.lock();
      try {
        gpu.expectAlive();
        if (!mmuIntervalReadRetry(range.notifier, range.notifierSeq)) return use();
      } finally {
        lock.unlock();
      }
    }
    gpu.stats.retries++;
  }
  throw new KernelError(
    "EBUSY",
    `0x${range.start.toString(16)} changes faster than ${gpu.name} can look at it`,
  );
}

export function pagesOf({ start, end }: HmmRange): number {
  return (end - start) / PAGE_SIZE;
}

function firstReadOnly(range: HmmRange): VirtAddr | undefined {
  for (let i = 0; i < pagesOf(range); i++)
    if ((hmmPfnFlags(range.hmmPfns, i) & HmmPfn.write) === 0)
      return (range.start + i * PAGE_SIZE) as VirtAddr;
  return undefined;
}

function expectContents({ gpu }: GpuContext, { hmmPfns, start }: HmmRange, i: number): void {
  const page = hmmPfnToPage(hmmPfns, i);
  if (!gpu.memory.owns(page) || !gpu.memory.isLost(page)) return;
  const address = (start + i * PAGE_SIZE).toString(16);
  throw new KernelError(
    "EIO",
    `what ${gpu.name} had for 0x${address} is lost: the process has to give the page up`,
  );
}

/** @see dmirror_do_fault() */
function mapEntry({ gpu, table }: GpuContext, { hmmPfns, start }: HmmRange, i: number): void {
  const page = hmmPfnToPage(hmmPfns, i);
  const flags =
    DevicePte.read |
    ((hmmPfnFlags(hmmPfns, i) & HmmPfn.write) !== 0 ? DevicePte.write : 0) |
    (gpu.memory.owns(page) ? DevicePte.local : 0);
  table.set((start + i * PAGE_SIZE) as VirtAddr, page, flags);
}
