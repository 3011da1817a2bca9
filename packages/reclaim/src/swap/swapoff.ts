// swapoff(2): removes a swap device, after everything on it was read back into memory, from files of shmem first and
// then from each address space.
// Kernel counterpart: try_to_unuse() and swapoff in mm/swapfile.c.
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

/** Without the OOM killer: swapoff(2) fails instead. */
const GFP_UNUSE: number = GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL;

/**
 * Removes a swap device.
 *
 * @param path path of the device
 * @throws KernelError EINVAL if it isn't in use; ENOMEM if memory has no room for its pages: the device stays in use
 *   then
 * @see sys_swapoff()
 */
export function* swapoff(vm: Vm, path: string): Sleeps<void> {
  const swap = swapSpace(vm);
  const device = swap.find(path);
  if (!device?.writeOk) throw new KernelError("EINVAL", `${path} is not swap: /proc/swaps lists what is`);
  swap.withdraw(device);
  try {
    // Ends: no slot is allocated any more, and each round frees those that entries, files or the cache use.
    while (device.used > 0) yield* tryToUnuse(vm, device);
  } catch (error) {
    swap.offer(device);
    throw error;
  }
  swap.remove(device);
}

/**
 * One round over all users of the device. Entries that other tasks add behind it are left for the next round.
 *
 * @see try_to_unuse()
 */
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

/** Reads the pages of one address space. @see unuse_mm() */
function* unuseMm(mm: MmStruct, device: SwapDevice): Sleeps<void> {
  yield* mm.mmapLock.downRead();
  try {
    for (const vma of mm.vmas) if (vma.anonVma) yield* unuseVma(vma, device);
  } finally {
    mm.mmapLock.upRead();
  }
}

/** Reads the pages of one mapping. @see unuse_vma() */
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

/**
 * Reads the page of one entry, and maps it.
 *
 * @throws KernelError ENOMEM
 * @see unuse_pte()
 */
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

/** Replaces the entry of a page that can't be read. A later access is SIGBUS. @see make_swapin_error_entry() */
function setSwapinError({ mm }: Vma, entry: number, page: Page): void {
  const { pageTable, rss, vm } = mm;
  vm.swap.free(swapDevice(pageTable.flags(entry)), pageTable.value(entry));
  rss[Rss.swapEntries] = (rss[Rss.swapEntries] as number) - 1;
  pageTable.set(entry, vm.memmap.pageToPfn(page) | 0, EntryKind.swapinError);
  vm.memmap.putPage(page);
}

/** Removes pages of the swap cache whose slots no entry names. */
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
