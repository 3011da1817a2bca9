// Device-exclusive access: the cpu's entries of a page are replaced, so that device atomics can't race with cpu
// accesses. The next cpu access faults, invalidates the device's entry and restores the cpu's. Kernel counterparts:
// dmirror_exclusive() in lib/test_hmm.c, nouveau_atomic_range_fault() in drivers/gpu/drm/nouveau/nouveau_svm.c, whose
// sequence check the former lacks.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { makeDeviceExclusiveRange } from "@hetmem/hmm-mirror";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { mmuIntervalReadBegin, mmuIntervalReadRetry } from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { DevicePte } from "./device-page-table.ts";
import { faultRange, MAX_RETRIES } from "./fault.ts";
import type { GpuContext } from "./gpu-context.ts";

const EXCLUSIVE = DevicePte.read | DevicePte.atomic;
/** Flags of huge pages, which don't fit into a device entry. */
const HUGE = PageFlag.head | PageFlag.tail;

/**
 * Makes pages device-exclusive, one by one. Writable pages in the device's own memory are exclusive already.
 *
 * @throws KernelError EBUSY for a page that can't be made exclusive, and errors of faultRange()
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

/** Whether an entry allows atomic operations: exclusive, or writable in the device's own memory. */
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
 * Makes one page exclusive. makeDeviceExclusiveRange() skips a page that another task has locked, without saying so.
 * The driver then waits for the lock and retries, up to MAX_RETRIES times.
 *
 * @returns whether the page is exclusive now, with no yield since; false for a page that can never be exclusive
 */
function* takePage(context: GpuContext, address: VirtAddr): Sleeps<boolean> {
  const { gpu, mm, notifier, table } = context;
  const end = (address + PAGE_SIZE) as VirtAddr;
  for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
    if (mayAtomic(table.flags(address))) return true;
    // Fault first: a fault of a shared or exclusive page inside the sequence below would count as a change.
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
 * Fills an exclusive entry, unless the range was invalidated since `sequence`.
 *
 * @param page the exclusive page; NULL_PAGE when it wasn't obtained
 * @returns undefined when the entry was filled; else the page in the device's table, NULL_PAGE when the range changed
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

/** Whether a page can be made exclusive: only small anonymous pages can. */
function mayBeAlone({ memmap }: Vm, page: Page): boolean {
  return (memmap.mapping(page) & MAPPING_ANON) !== 0 && (memmap.flags(page) & HUGE) === 0;
}

/** Waits until a page is unlocked, unless it has been freed. */
function* waitForRival({ memmap, pages }: Vm, page: Page): Sleeps<void> {
  if (page === NULL_PAGE || !memmap.getPageUnlessZero(page)) return;
  yield* lockPage(memmap, page);
  unlockPage(memmap, page);
  pages.put(page);
}

/** Unlocks and puts an exclusive page; a cpu fault can end the exclusive access from now on. */
function release({ gpu }: GpuContext, page: Page): void {
  if (page === NULL_PAGE) return;
  gpu.vm.memmap.clear(page, PageFlag.locked);
  gpu.vm.pages.put(page);
}
