// Takes a swap device out of use: everything that lies on it comes back into memory first. Kernel counterpart:
// try_to_unuse() and swapoff in mm/swapfile.c.
import { condResched, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { lockPage, mmput, type MmStruct, Rss, unlockPage, type Vm, type Vma } from "@hetmem/mm";
import { mapFromSwap } from "@hetmem/mm/fault";
import { waitOnWriteback } from "@hetmem/mm/file";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { shmemUnuse } from "@hetmem/page-cache";
import { ENTRIES, EntryKind, entryKind, NO_ENTRY, PMD_SIZE, swapDevice, swapEntry } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import type { SwapDevice } from "./swap-device.ts";
import { swapSpace } from "./swap-space.ts";

/** Nobody is killed to make room: swapoff fails instead. */
const GFP_UNUSE: number = GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL;

/**
 * Takes a device out of use.
 *
 * @throws KernelError EINVAL when it isn't in use, ENOMEM when memory has no room for what it holds: it stays in use then
 * @see sys_swapoff()
 */
export function* swapoff(vm: Vm, path: string): Sleeps<void> {
  const swap = swapSpace(vm);
  const device = swap.find(path);
  if (!device?.writeOk) throw new KernelError("EINVAL", `${path} is not swap: /proc/swaps lists what is`);
  swap.withdraw(device);
  try {
    // Ends: no slot is given out any more, and each round frees those that an entry, a file or the cache holds.
    while (device.used > 0) yield* tryToUnuse(vm, device);
  } catch (error) {
    swap.offer(device);
    throw error;
  }
  swap.remove(device);
}

/** One round: what others put into page tables behind it is left for the next. @see try_to_unuse() */
function* tryToUnuse(vm: Vm, device: SwapDevice): Sleeps<void> {
  yield* shmemUnuse(vm, device.type);
  for (const mm of vm.addressSpaces) {
    if (mm.dead || device.used === 0) continue;
    mm.users++;
    try {
      yield* unuseMm(mm, device);
    } finally {
      yield* mmput(mm);
    }
  }
  yield* emptyCache(vm, device);
  yield condResched;
}

/** @see unuse_mm() */
function* unuseMm(mm: MmStruct, device: SwapDevice): Sleeps<void> {
  yield* mm.mmapLock.downRead();
  try {
    for (const vma of mm.vmas) if (vma.anonVma) yield* unuseVma(vma, device);
  } finally {
    mm.mmapLock.upRead();
  }
}

/** @see unuse_vma() */
function* unuseVma(vma: Vma, device: SwapDevice): Sleeps<void> {
  const { pageTable } = vma.mm;
  const { end } = vma;
  for (let at = pageTable.nextPopulated(vma.start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const stop = Math.min(end, at - (at % PMD_SIZE) + PMD_SIZE) as VirtAddr;
    const first = pageTable.find(at);
    const count = first === NO_ENTRY ? 0 : Math.min((stop - at) / 4096, ENTRIES);
    for (let i = 0; i < count; i++) yield* unuseEntry(vma, (at + i * 4096) as VirtAddr, first + i, device);
    at = stop;
    yield condResched;
  }
}

/** @throws KernelError ENOMEM @see unuse_pte() */
function* unuseEntry(vma: Vma, address: VirtAddr, entry: number, device: SwapDevice): Sleeps<void> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const flags = pageTable.flags(entry);
  const slot = pageTable.value(entry);
  if (entryKind(flags) !== EntryKind.swap || swapDevice(flags) !== device.type) return;
  const isSame = (): boolean => pageTable.flags(entry) === flags && pageTable.value(entry) === slot;
  const page = yield* vm.swap.readPage(device.type, slot, {
    mm,
    alloc: () => vm.pages.allocUncharged(GFP_UNUSE, 0, mm.node, mm),
  });
  if (page === NULL_PAGE) {
    if (!isSame()) return;
    throw new KernelError("ENOMEM", `memory has no room for the ${device.used} pages on ${device.path}`);
  }
  yield* lockPage(vm.memmap, page);
  yield* waitOnWriteback(vm, page);
  const inCache = vm.memmap.test(page, PageFlag.swapcache);
  if (inCache && vm.memmap.private(page) === swapEntry(device.type, slot) && isSame()) {
    if (vm.memmap.test(page, PageFlag.uptodate)) mapFromSwap(vma, address, entry, page, false);
    else setSwapinError(vma, entry, page);
    vm.swap.freeSwap(page);
    unlockPage(vm.memmap, page);
  } else {
    unlockPage(vm.memmap, page);
    vm.memmap.putPage(page);
  }
}

/** The page can't be had: who touches it gets SIGBUS. @see make_swapin_error_entry() */
function setSwapinError({ mm }: Vma, entry: number, page: Page): void {
  const { pageTable, rss, vm } = mm;
  vm.swap.free(swapDevice(pageTable.flags(entry)), pageTable.value(entry));
  rss[Rss.swapEntries] = (rss[Rss.swapEntries] as number) - 1;
  pageTable.set(entry, vm.memmap.pageToPfn(page) | 0, EntryKind.swapinError);
  vm.memmap.putPage(page);
}

/** Pages of the cache that no entry names any more give up their slots. */
function* emptyCache(vm: Vm, device: SwapDevice): Sleeps<void> {
  const { memmap, swap } = vm;
  for (let slot = device.nextInUse(1); slot !== 0; slot = device.nextInUse(slot + 1)) {
    const page = swap.cache.lookup(device.type, slot);
    if (page === NULL_PAGE) continue;
    memmap.getPage(page);
    yield* lockPage(memmap, page);
    yield* waitOnWriteback(vm, page);
    swap.freeSwap(page);
    unlockPage(memmap, page);
    memmap.putPage(page);
  }
}
