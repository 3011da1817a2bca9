// The swap devices of a machine and their slots: which are free, and how often each is in use. An entry of a page table
// that names a slot counts once, and so does the page of the swap cache that holds the same bytes. Kernel counterpart:
// mm/swapfile.c.
import { bugOn, KernelBug, KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import type { PageSource, Swap } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { deviceOfEntry, MAX_SLOTS, NO_SWAP_ENTRY, slotOfEntry, swapEntry } from "@hetmem/page-table";
import { readSwapCache } from "./read-swap-cache.ts";
import { SwapCache } from "./swap-cache.ts";
import { SwapDevice } from "./swap-device.ts";
import { swapWritepage } from "./swap-io.ts";

/** What swapon() is asked. */
export interface SwaponRequest {
  readonly path: string;
  /** Bytes of the device or file; the first page of it holds the header. */
  readonly size: number;
  /** The highest is filled first, equal ones in turn; -2 and less, in the order of their coming, when absent. */
  readonly priority?: number;
  readonly kind?: "partition" | "file";
}

/**
 * Entries have 5 bits for the area. 10 numbers stand for other things than areas: bad memory, 3 kinds of migration, 4 of
 * devices, markers of userfaultfd, and pages that swap could not give back.
 *
 * @see MAX_SWAPFILES in include/linux/swap.h
 */
const MAX_SWAPFILES: number = 32 - 10;
const MAX_PRIORITY = 32_767;
/** mkswap makes none with fewer pages. */
const MIN_SLOTS = 10;

export class SwapSpace implements Swap {
  readonly cache: SwapCache;
  readonly vm: Vm;
  /** By number; a hole where one was taken off. */
  private readonly byType: (SwapDevice | undefined)[] = [];
  /** Those that slots are taken from, the next one first. @see swap_avail_heads */
  private available: SwapDevice[] = [];
  private leastPriority = -1;

  constructor(vm: Vm) {
    this.vm = vm;
    this.cache = new SwapCache(vm, this);
  }

  /** The devices in use, by number. */
  get devices(): SwapDevice[] {
    return this.byType.filter((device) => device !== undefined);
  }

  /** Slots of all devices: SwapTotal. @see total_swap_pages */
  get totalPages(): number {
    return this.available.reduce((sum, device) => sum + device.pages, 0);
  }

  /** Slots that nobody uses: SwapFree. @see nr_swap_pages */
  get freePages(): number {
    return this.available.reduce((sum, device) => sum + device.pages - device.used, 0);
  }

  /** Whether more than half is in use: a slot whose page is in memory is better given back then. @see vm_swap_full() */
  get full(): boolean {
    return this.freePages * 2 < this.totalPages;
  }

  /**
   * Takes a device into use.
   *
   * @throws KernelError EINVAL when it is too small or the priority isn't one, EBUSY when it is in use, EPERM when there
   *   are as many as can be
   * @see sys_swapon()
   */
  swapon({ path, size, priority, kind = "partition" }: SwaponRequest): SwapDevice {
    const slots = Math.min(Math.floor(size / PAGE_SIZE), MAX_SLOTS);
    if (slots < MIN_SLOTS)
      throw new KernelError(
        "EINVAL",
        `${path} of ${size} bytes is no swap area: it needs ${MIN_SLOTS} pages at least`,
      );
    if (priority !== undefined && (priority < 0 || priority > MAX_PRIORITY))
      throw new KernelError("EINVAL", `swap priority ${priority} is not from 0 to ${MAX_PRIORITY}`);
    if (this.devices.some((device) => device.path === path))
      throw new KernelError("EBUSY", `${path} is swap already: take it off with swapoff first`);
    const hole = this.byType.indexOf(undefined);
    const type = hole < 0 ? this.byType.length : hole;
    if (type >= MAX_SWAPFILES)
      throw new KernelError("EPERM", `there are ${MAX_SWAPFILES} swap areas, and can't be more`);
    const device = new SwapDevice(type, path, kind, priority ?? --this.leastPriority, slots);
    this.byType[type] = device;
    this.offer(device);
    const kilobytes = device.pages * 4;
    this.vm.kernel.log.printk(
      6,
      `Adding ${kilobytes}k swap on ${path}.  Priority:${device.priority} extents:1 across:${kilobytes}k `,
    );
    return device;
  }

  /** Gives no further slots of a device, and counts it no longer. */
  withdraw(device: SwapDevice): void {
    device.writeOk = false;
    this.available = this.available.filter((other) => other !== device);
  }

  /** Lets slots of a device be taken: the first among those of its priority comes last. */
  offer(device: SwapDevice): void {
    device.writeOk = true;
    const rank = this.available.findIndex((other) => other.priority < device.priority);
    this.available.splice(rank < 0 ? this.available.length : rank, 0, device);
  }

  /** A device that was emptied is gone. @throws KernelBug when a slot of it is in use */
  remove(device: SwapDevice): void {
    if (device.used > 0)
      throw new KernelBug(`${device.path} goes while ${device.used} slots of it are in use`);
    this.byType[device.type] = undefined;
    if (device.priority >= 0) return;
    // Priorities that nobody asked for are handed out downwards; those behind it move up.
    for (const other of this.devices) if (other.priority < device.priority) other.priority++;
    this.leastPriority++;
  }

  /** The device of a swap entry. @throws KernelBug when there is none: entries keep their device */
  device(type: number): SwapDevice {
    const device = this.byType[type];
    if (!device) throw new KernelBug(`there is no swap device ${type}`);
    return device;
  }

  /** Whether a slot that an entry named a while ago still is in use: the device may have gone since. @see get_swap_device() */
  isInUse(type: number, slot: number): boolean {
    const device = this.byType[type];
    return device !== undefined && slot <= device.pages && device.inUse(slot);
  }

  /** The device in use under a path, or undefined. */
  find(path: string): SwapDevice | undefined {
    return this.devices.find((device) => device.path === path);
  }

  /**
   * Takes a slot for a page, which enters the swap cache with it, and charges the page's cgroup.
   *
   * @returns its swap entry, NO_SWAP_ENTRY when every device is full, or the cgroup's part of it
   * @see folio_alloc_swap() in mm/swap_slots.c
   */
  allocSlot(page: Page): number {
    const { charging } = this.vm;
    for (const device of this.available) {
      const slot = device.allocSlot();
      if (slot === 0) continue;
      this.requeue(device);
      if (charging.tryChargeSwap(page, device.type, slot)) return swapEntry(device.type, slot);
      device.clearHasCache(slot);
      device.releaseIfUnused(slot);
      return NO_SWAP_ENTRY;
    }
    charging.swapIsFull(page);
    return NO_SWAP_ENTRY;
  }

  /** One more entry of a page table names a slot. @see swap_duplicate() */
  duplicate(device: number, slot: number): void {
    this.device(device).duplicate(slot);
  }

  /** One entry less names a slot. With the last one goes the page of the swap cache, unless somebody maps or holds it. @see free_swap_and_cache() */
  free(device: number, slot: number): void {
    const area = this.device(device);
    area.drop(slot);
    this.release(area, slot);
    if (!area.inUse(slot) || area.count(slot) > 0) return;
    const page = this.cache.lookup(device, slot);
    if (page !== NULL_PAGE) this.freeSwapCache(page);
  }

  /** Entries that name a slot. @see swp_swapcount() */
  count(device: number, slot: number): number {
    return this.device(device).count(slot);
  }

  readPage(device: number, slot: number, source: PageSource): Sleeps<Page> {
    return readSwapCache(this, device, slot, source);
  }

  writePage(page: Page): Sleeps<void> {
    return swapWritepage(this, page);
  }

  /** Frees a slot if neither an entry nor the cache uses it. @see swap_entry_free() */
  release(device: SwapDevice, slot: number): void {
    if (device.releaseIfUnused(slot)) this.vm.charging.unchargeSwap(device.type, slot, 1);
  }

  /** Whether entries still name the slot of a page in the swap cache. @see folio_swapped() */
  isSwapped(page: Page): boolean {
    const entry = this.vm.memmap.private(page);
    return this.count(deviceOfEntry(entry), slotOfEntry(entry)) > 0;
  }

  /** @see add_to_swap() */
  addToSwap(page: Page): boolean {
    return this.cache.addToSwap(page);
  }

  /** Gives the slot of a locked page back that no entry names any more: the page leaves the swap cache. @returns whether it did @see folio_free_swap() */
  freeSwap(page: Page): boolean {
    const { memmap } = this.vm;
    bugOn(!memmap.test(page, PageFlag.locked), `page ${page} leaves the swap cache without its lock`);
    if (!memmap.test(page, PageFlag.swapcache) || memmap.test(page, PageFlag.writeback)) return false;
    if (this.isSwapped(page)) return false;
    this.cache.remove(page, 0);
    memmap.set(page, PageFlag.dirty);
    return true;
  }

  /** The same for a page that nobody maps any more, if its lock is free: the caller's may be its last reference but the cache's. @see free_swap_cache() */
  freeSwapCache(page: Page): void {
    const { memmap } = this.vm;
    if (!memmap.test(page, PageFlag.swapcache) || memmap.mapcount(page) > 0 || !trylockPage(memmap, page))
      return;
    memmap.getPage(page);
    this.freeSwap(page);
    unlockPage(memmap, page);
    memmap.putPage(page);
  }

  /** Those of one priority take turns. */
  private requeue(device: SwapDevice): void {
    if (this.available.length === 1) return;
    this.available = this.available.filter((other) => other !== device);
    this.offer(device);
  }
}

/** The swap of a machine. @throws KernelBug when the machine was made with another one, or with none */
export function swapSpace({ swap }: Vm): SwapSpace {
  if (!(swap instanceof SwapSpace)) throw new KernelBug("the machine has no SwapSpace: give Vm reclaimParts");
  return swap;
}
