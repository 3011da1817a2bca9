// The swap devices of a machine: swapon(2), allocation of slots by priority, and the counts of slots. An entry of a
// page table that names a slot counts as one user, and so does the page of the swap cache. Kernel counterpart:
// mm/swapfile.c.
import { bugOn, KernelBug, KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import { noSwap, type PageSource, type Swap } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { deviceOfEntry, MAX_SLOTS, NO_SWAP_ENTRY, slotOfEntry, swapEntry } from "@hetmem/page-table";
import { readSwapCache } from "./read-swap-cache.ts";
import { SwapCache } from "./swap-cache.ts";
import { SwapDevice } from "./swap-device.ts";
import { swapWritepage } from "./swap-io.ts";

/** Arguments of swapon(). */
export interface SwaponRequest {
  readonly path: string;
  /** Bytes of the device or file. Its first page holds the header. */
  readonly size: number;
  /**
   * Devices with a higher priority are filled first, those of one priority in turn. Absent: -2 and below, in the order
   * of swapon().
   */
  readonly priority?: number;
  readonly kind?: "partition" | "file";
}

/**
 * Numbers of swap devices: 5 bits, of which the kernel uses 10 for other kinds of entries: 1 for memory errors, 3 for
 * migration, 4 for devices, 1 for userfaultfd markers and 1 for swap-in errors.
 *
 * @see MAX_SWAPFILES in include/linux/swap.h
 */
const MAX_SWAPFILES: number = 32 - 10;
/** Highest priority. @see SWAP_FLAG_PRIO_MASK in include/linux/swap.h */
const MAX_PRIORITY = 32_767;
/** Pages of a swap area at least, as mkswap(8) requires. */
const MIN_SLOTS = 10;

/** The swap of a machine: implements the port Swap of mm. @see swap_info in mm/swapfile.c */
export class SwapSpace implements Swap {
  readonly cache: SwapCache;
  readonly vm: Vm;
  /** Devices by number; undefined where one was removed. */
  private readonly byType: (SwapDevice | undefined)[] = [];
  /** Devices to allocate from, the next one first. @see swap_avail_heads */
  private available: SwapDevice[] = [];
  /** Lowest priority assigned so far. */
  private leastPriority = -1;

  constructor(vm: Vm) {
    this.vm = vm;
    this.cache = new SwapCache(vm, this);
  }

  /** The devices in use, by number. */
  get devices(): SwapDevice[] {
    return this.byType.filter((device) => device !== undefined);
  }

  get areas(): readonly SwapDevice[] {
    return this.devices;
  }

  /** Slots of all devices: SwapTotal. @see total_swap_pages */
  get totalPages(): number {
    return this.available.reduce((sum, device) => sum + device.pages, 0);
  }

  /** Free slots of all devices: SwapFree. @see nr_swap_pages */
  get freePages(): number {
    return this.available.reduce((sum, device) => sum + device.pages - device.used, 0);
  }

  /** Whether more than half of the slots are in use. The slot of a page in memory is freed then. @see vm_swap_full() */
  get full(): boolean {
    return this.freePages * 2 < this.totalPages;
  }

  /**
   * Adds a swap device.
   *
   * @returns the device
   * @throws KernelError EINVAL if it is too small, or the priority is out of range; EBUSY if it is in use; EPERM if
   *   there are MAX_SWAPFILES devices
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

  /** Stops allocating from a device, and counting it. */
  withdraw(device: SwapDevice): void {
    device.writeOk = false;
    this.available = this.available.filter((other) => other !== device);
  }

  /** Allocates from a device, as the last of those of its priority. */
  offer(device: SwapDevice): void {
    device.writeOk = true;
    const rank = this.available.findIndex((other) => other.priority < device.priority);
    this.available.splice(rank < 0 ? this.available.length : rank, 0, device);
  }

  /** Removes a device without slots in use. @throws KernelBug if a slot is in use */
  remove(device: SwapDevice): void {
    if (device.used > 0)
      throw new KernelBug(`${device.path} goes while ${device.used} slots of it are in use`);
    this.byType[device.type] = undefined;
    if (device.priority >= 0) return;
    // Assigned priorities are consecutive: those below move up.
    for (const other of this.devices) if (other.priority < device.priority) other.priority++;
    this.leastPriority++;
  }

  /** The device of a swap entry. @throws KernelBug without one: a device stays while entries name it */
  device(type: number): SwapDevice {
    const device = this.byType[type];
    if (!device) throw new KernelBug(`there is no swap device ${type}`);
    return device;
  }

  /**
   * Whether a slot that an entry named earlier is still in use. Its device may be removed by now.
   *
   * @see get_swap_device()
   */
  isInUse(type: number, slot: number): boolean {
    const device = this.byType[type];
    return device !== undefined && slot <= device.pages && device.inUse(slot);
  }

  /** The device with a path; undefined without one. */
  find(path: string): SwapDevice | undefined {
    return this.devices.find((device) => device.path === path);
  }

  /**
   * Allocates a slot for a page that is about to enter the swap cache, and charges the page's cgroup.
   *
   * @returns the swap entry, or NO_SWAP_ENTRY if all devices are full or the cgroup is at its limit
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

  slotsOf(device: number): number {
    return this.device(device).pages + 1;
  }

  /** Counts one more entry for a slot. @see swap_duplicate() */
  duplicate(device: number, slot: number): void {
    this.device(device).duplicate(slot);
  }

  /**
   * Counts one entry less for a slot. The last one also removes the page of the swap cache, unless it is mapped or
   * locked.
   *
   * @see free_swap_and_cache()
   */
  free(device: number, slot: number): void {
    const area = this.device(device);
    area.drop(slot);
    this.release(area, slot);
    if (!area.inUse(slot) || area.count(slot) > 0) return;
    const page = this.cache.lookup(device, slot);
    if (page !== NULL_PAGE) this.freeSwapCache(page);
  }

  /** Number of entries that name a slot. @see swp_swapcount() */
  count(device: number, slot: number): number {
    return this.device(device).count(slot);
  }

  readPage(device: number, slot: number, source: PageSource): Sleeps<Page> {
    return readSwapCache(this, device, slot, source);
  }

  writePage(page: Page): Sleeps<void> {
    return swapWritepage(this, page);
  }

  /** Frees a slot that neither entries nor the cache use. @see swap_entry_free() */
  release(device: SwapDevice, slot: number): void {
    if (device.releaseIfUnused(slot)) this.vm.charging.unchargeSwap(device.type, slot, 1);
  }

  /** Whether entries name the slot of a page in the swap cache. @see folio_swapped() */
  isSwapped(page: Page): boolean {
    const entry = this.vm.memmap.private(page);
    return this.count(deviceOfEntry(entry), slotOfEntry(entry)) > 0;
  }

  /**
   * Removes a locked page from the swap cache, if no entry names its slot; the slot is freed.
   *
   * @returns false if the page stays
   * @see folio_free_swap()
   */
  freeSwap(page: Page): boolean {
    const { memmap } = this.vm;
    bugOn(!memmap.test(page, PageFlag.locked), `page ${page} leaves the swap cache without its lock`);
    if (!memmap.test(page, PageFlag.swapcache) || memmap.test(page, PageFlag.writeback)) return false;
    if (this.isSwapped(page)) return false;
    this.cache.remove(page, 0);
    memmap.set(page, PageFlag.dirty);
    return true;
  }

  /**
   * Does the same as freeSwap(), for an unmapped page whose lock is free. The caller need not hold a reference.
   *
   * @see free_swap_cache()
   */
  freeSwapCache(page: Page): void {
    const { memmap } = this.vm;
    if (!memmap.test(page, PageFlag.swapcache) || memmap.mapcount(page) > 0 || !trylockPage(memmap, page))
      return;
    memmap.getPage(page);
    this.freeSwap(page);
    unlockPage(memmap, page);
    memmap.putPage(page);
  }

  /** Moves a device behind the others of its priority. */
  private requeue(device: SwapDevice): void {
    if (this.available.length === 1) return;
    this.available = this.available.filter((other) => other !== device);
    this.offer(device);
  }
}

/**
 * The swap of a machine, for the system calls.
 *
 * @throws KernelError ENOSYS if the machine was given another swap, or none
 */
export function swapSpace({ swap }: Vm): SwapSpace {
  if (swap instanceof SwapSpace) return swap;
  throw new KernelError(
    "ENOSYS",
    swap === noSwap
      ? "the machine was made without swap: give Vm reclaimParts of @hetmem/reclaim"
      : "the swap of this machine is not SwapSpace of @hetmem/reclaim, which swapon and swapoff work on",
  );
}
