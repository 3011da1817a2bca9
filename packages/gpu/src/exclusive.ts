// Pages of the process that the device has for itself for a while: then nobody sees half of an atomic operation. The cpu's
// entries are gone meanwhile; its first touch calls the notifier, and the page is everybody's again. Kernel counterparts:
// dmirror_exclusive() in lib/test_hmm.c, nouveau_atomic_range_fault() in drivers/gpu/drm/nouveau/nouveau_svm.c, whose
// sequence check the former lacks.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { makeDeviceExclusiveRange, mmuIntervalReadBegin, mmuIntervalReadRetry } from "@hetmem/mm";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { DevicePte } from "./device-page-table.ts";
import { faultRange, MAX_RETRIES } from "./fault.ts";
import type { GpuContext } from "./gpu-context.ts";

const EXCLUSIVE = DevicePte.read | DevicePte.atomic;

/**
 * Page by page; one that is in the device's own memory needs no more than that.
 *
 * @throws KernelError EBUSY when the device can't have one of them, and what faultRange() throws
 */
export function* makeExclusive(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  for (let at = start; at < end; at = (at + PAGE_SIZE) as VirtAddr) {
    if (yield* takePage(context, at)) continue;
    throw new KernelError(
      "EBUSY",
      `${context.gpu.name} can't have 0x${at.toString(16)} for itself: it is in use, or no private anonymous memory`,
    );
  }
}

/** Whether an entry lets the device do what nobody may see half of. */
export function mayAtomic(flags: number): boolean {
  const own = DevicePte.local | DevicePte.write;
  return (flags & DevicePte.atomic) !== 0 || (flags & own) === own;
}

export function hasExclusive({ table }: GpuContext, start: VirtAddr, end: VirtAddr): boolean {
  for (let at = start; at < end; at = (at + PAGE_SIZE) as VirtAddr)
    if ((table.flags(at) & DevicePte.atomic) !== 0) return true;
  return false;
}

/** @returns whether the device has it now */
function* takePage(context: GpuContext, address: VirtAddr): Sleeps<boolean> {
  const { gpu, lock, mm, notifier, table } = context;
  const end = (address + PAGE_SIZE) as VirtAddr;
  for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
    if (mayAtomic(table.flags(address))) return true;
    // What a fault changes would count as a change below: a page that is shared, or was exclusive before.
    yield* faultRange(context, address, end, true);
    if (mayAtomic(table.flags(address))) return true;
    const sequence = yield* mmuIntervalReadBegin(notifier);
    yield* mm.mmapLock.downRead();
    let page: Page;
    try {
      page = (yield* makeDeviceExclusiveRange(mm, address, end, context))[0] ?? (NULL_PAGE as Page);
    } finally {
      mm.mmapLock.upRead();
    }
    yield* lock.lock();
    const certain = !mmuIntervalReadRetry(notifier, sequence) && gpu.state === "running";
    if (certain && page !== NULL_PAGE) {
      table.set(address, page, EXCLUSIVE);
      gpu.stats.exclusive++;
    }
    lock.unlock();
    release(context, page);
    gpu.expectAlive();
    if (certain) return page !== NULL_PAGE;
    gpu.stats.retries++;
  }
  throw new KernelError(
    "EBUSY",
    `0x${address.toString(16)} changes faster than ${gpu.name} can have it for itself`,
  );
}

/** From here on a touch of the cpu can have it back. */
function release({ gpu }: GpuContext, page: Page): void {
  if (page === NULL_PAGE) return;
  gpu.vm.memmap.clear(page, PageFlag.locked);
  gpu.vm.pages.put(page);
}
