// Pages of the process that the device has for itself for a while: then nobody sees half of an atomic operation. The cpu's
// entries are gone meanwhile; its first touch calls the notifier, and the page is everybody's again. Kernel counterparts:
// dmirror_exclusive() in lib/test_hmm.c, nouveau_atomic_range_fault() in drivers/gpu/drm/nouveau/nouveau_svm.c, whose
// sequence check the former lacks.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { makeDeviceExclusiveRange, MAPPING_ANON } from "@hetmem/mm/rmap";
import { mmuIntervalReadBegin, mmuIntervalReadRetry } from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { DevicePte } from "./device-page-table.ts";
import { faultRange, MAX_RETRIES } from "./fault.ts";
import type { GpuContext } from "./gpu-context.ts";

const EXCLUSIVE = DevicePte.read | DevicePte.atomic;
/** Parts of pages that are larger than the device's entry. */
const HUGE = PageFlag.head | PageFlag.tail;

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

/**
 * A page that a rival has locked, for its own device or to move it, isn't had either, and the call doesn't say so: the
 * driver waits for the lock and asks again, MAX_RETRIES times at most.
 *
 * @returns whether the device has it now, and nothing has run since; false for a page that can never be the device's alone
 */
function* takePage(context: GpuContext, address: VirtAddr): Sleeps<boolean> {
  const { gpu, mm, notifier, table } = context;
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
    const refused = yield* enter(context, address, page, sequence);
    gpu.expectAlive();
    if (refused === undefined) return true;
    if (refused !== NULL_PAGE && !mayBeAlone(gpu.vm, refused)) return false;
    yield* waitForRival(gpu.vm, refused);
    gpu.stats.retries++;
  }
  throw new KernelError(
    "EBUSY",
    `0x${address.toString(16)} changes faster than ${gpu.name} can have it for itself`,
  );
}

/**
 * Enters a page that the device has got for itself, unless it may have lost it since.
 *
 * @param page NULL_PAGE: it hasn't got one
 * @returns undefined once it is entered; else the page that the process still has there, NULL_PAGE when that has changed
 */
function* enter(
  context: GpuContext,
  address: VirtAddr,
  page: Page,
  sequence: number,
): Sleeps<Page | undefined> {
  const { gpu, lock, notifier, table } = context;
  yield* lock.lock();
  const certain = !mmuIntervalReadRetry(notifier, sequence) && gpu.state === "running";
  const entered = certain && page !== NULL_PAGE;
  const refused = certain ? table.page(address) : (NULL_PAGE as Page);
  if (entered) {
    table.set(address, page, EXCLUSIVE);
    gpu.stats.exclusive++;
  }
  lock.unlock();
  release(context, page);
  return entered ? undefined : refused;
}

/** Whether a page can be a device's alone at all: a small one of anonymous memory. */
function mayBeAlone({ memmap }: Vm, page: Page): boolean {
  return (memmap.mapping(page) & MAPPING_ANON) !== 0 && (memmap.flags(page) & HUGE) === 0;
}

/** Waits until a page is unlocked. It may have gone by now: then there is nothing to wait for. */
function* waitForRival({ memmap, pages }: Vm, page: Page): Sleeps<void> {
  if (page === NULL_PAGE || !memmap.getPageUnlessZero(page)) return;
  yield* lockPage(memmap, page);
  unlockPage(memmap, page);
  pages.put(page);
}

/** From here on a touch of the cpu can have it back. */
function release({ gpu }: GpuContext, page: Page): void {
  if (page === NULL_PAGE) return;
  gpu.vm.memmap.clear(page, PageFlag.locked);
  gpu.vm.pages.put(page);
}
