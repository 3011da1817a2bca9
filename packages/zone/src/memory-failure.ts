// Memory failure: the hardware reports an uncorrected error in a page. A free page is taken off the free lists for
// good; a page in use is handled through a port that the package of the process side implements. Kernel counterpart:
// mm/memory-failure.c.
import { KernelError, type LogLevel, Mutex, type Page, type Pfn, type Sleeps } from "@hetmem/kernel";
import { describePage, NULL_PAGE, PageFlag, SectionFlag, sectionOfPfn } from "@hetmem/page";
import type { HotplugLocks } from "./hotplug-locks.ts";
import type { Memory } from "./memory.ts";
import { addTo } from "./page-alloc.ts";
import { ZoneStat } from "./vmstat.ts";
import { MAX_ORDER, MigrateType } from "./zone-type.ts";

/** Port: handles a failed page in use. */
export interface PoisonedPageOwner {
  /**
   * Unmaps the page, signals or kills the processes that map it, and logs the outcome.
   *
   * @throws KernelError EIO, with nothing logged, for a page of unknown type; EBUSY for a page that couldn't be
   * isolated or unmapped
   */
  hardOffline(page: Page): Sleeps<void>;
  /**
   * Migrates the contents to another page and frees the page.
   *
   * @throws KernelError EIO, with nothing logged, for a page that isn't movable; EBUSY, logged, when the migration
   * fails
   */
  softOffline(page: Page): Sleeps<void>;
}

export const nobodyUsesPages: PoisonedPageOwner = {
  *hardOffline() {
    throw new KernelError("EIO", "the kernel uses it, and can't be told to stop");
  },
  *softOffline() {
    throw new KernelError("EIO", "the kernel uses it, and can't give it up");
  },
};

/** Port: handles failed device memory that has struct pages (ZONE_DEVICE). */
export interface PoisonedDeviceMemory {
  /**
   * Signals the processes that map the frame, and logs the outcome.
   *
   * @param current the process that was running when the error was reported
   * @returns false for a frame that isn't ZONE_DEVICE memory
   * @throws KernelError ENXIO for a frame that can't be recovered, EBUSY when no process could be signalled
   * @see memory_failure_dev_pagemap()
   */
  memoryFailure(frame: Pfn, current: object | undefined): Sleeps<boolean>;
}

const noDeviceMemory: PoisonedDeviceMemory = {
  *memoryFailure() {
    return false;
  },
};

export class MemoryFailure {
  /** Handles pages in use. Set by the machine. */
  owner: PoisonedPageOwner = nobodyUsesPages;
  /** Handles pages of devices. Set by the machine. */
  devices: PoisonedDeviceMemory = noDeviceMemory;
  readonly #memory: Memory;
  readonly #locks: HotplugLocks;
  /** Serialises the handling of failures. @see mf_mutex */
  readonly #mutex: Mutex;

  constructor(memory: Memory, locks: HotplugLocks) {
    this.#memory = memory;
    this.#locks = locks;
    this.#mutex = new Mutex(memory.kernel.lockdep, "mf_mutex");
  }

  /**
   * Handles an uncorrected error in a frame.
   *
   * @param current the process whose access reported the error, if any
   * @throws KernelError ENXIO for a frame that is neither online nor ZONE_DEVICE memory, EHWPOISON for one that is
   * HWPoison already, EBUSY when it can't be recovered
   * @see memory_failure()
   */
  *hardOffline(frame: Pfn, current?: object): Sleeps<void> {
    yield* this.#mutex.lock();
    try {
      yield* this.#fail(frame, current);
    } finally {
      this.#mutex.unlock();
    }
  }

  /**
   * Takes a frame out of use before it fails: the contents are migrated and no process is killed.
   *
   * @throws KernelError ENXIO for a frame without a struct page, EIO for one that isn't online or whose page isn't
   * movable, EBUSY when the migration fails
   * @see soft_offline_page()
   */
  *softOffline(frame: Pfn): Sleeps<void> {
    yield* this.#mutex.lock();
    yield* this.#locks.getOnlineMems();
    try {
      yield* this.#retire(frame);
    } finally {
      this.#locks.putOnlineMems();
      this.#mutex.unlock();
    }
  }

  *#fail(frame: Pfn, current: object | undefined): Sleeps<void> {
    const page = this.#onlinePage(frame);
    if (page === undefined) {
      if (this.#memory.memmap.pfnValid(frame) && (yield* this.devices.memoryFailure(frame, current))) return;
      this.#log(3, `${hex(frame)}: memory outside kernel control`);
      throw new KernelError("ENXIO", `frame ${hex(frame)} is not online memory of this machine`);
    }
    const { memmap } = this.#memory;
    if (memmap.test(page, PageFlag.hwpoison)) {
      this.#log(3, `${hex(frame)}: already hardware poisoned`);
      throw new KernelError("EHWPOISON", `page ${hex(frame)} is known to be bad already`);
    }
    this.#poison(page);
    if (this.#takeFree(page)) {
      this.#log(3, `${hex(frame)}: recovery action for free buddy page: Recovered`);
      return;
    }
    try {
      yield* this.owner.hardOffline(page);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.errno === "EIO") {
        this.#log(3, `${hex(frame)}: unhandlable page.`);
        this.#log(3, `${hex(frame)}: recovery action for unknown page: Ignored`);
      }
      throw new KernelError("EBUSY", `${describePage(memmap, page)} can't be recovered: ${error.reason}`);
    }
  }

  *#retire(frame: Pfn): Sleeps<void> {
    const { memmap, kernel } = this.#memory;
    if (!memmap.pfnValid(frame))
      throw new KernelError("ENXIO", `frame ${hex(frame)} is not memory of this machine`);
    const page = this.#onlinePage(frame);
    if (page === undefined) throw new KernelError("EIO", `frame ${hex(frame)} is not online`);
    if (memmap.test(page, PageFlag.hwpoison)) {
      kernel.log.printk(6, `soft_offline_page: ${hex(frame)} page already poisoned`);
      return;
    }
    if (!this.#takeFree(page)) {
      yield* this.#moveAway(page, frame);
      if (!this.#takeFree(page))
        throw new KernelError(
          "EBUSY",
          `${describePage(memmap, page)} was taken again while it moved: try again`,
        );
    }
    this.#poison(page);
  }

  /** @see soft_offline_in_use_page() */
  *#moveAway(page: Page, frame: Pfn): Sleeps<void> {
    const { memmap } = this.#memory;
    try {
      yield* this.owner.softOffline(page);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.errno === "EIO") this.#log(3, `${hex(frame)}: unhandlable page.`);
      throw new KernelError(error.errno, `${describePage(memmap, page)} stays in use: ${error.reason}`);
    }
  }

  /**
   * The struct page of a frame, initialised if it was deferred; undefined when the frame isn't online.
   *
   * @see pfn_to_online_page()
   */
  #onlinePage(frame: Pfn): Page | undefined {
    const { memmap } = this.#memory;
    if (!memmap.pfnValid(frame) || !memmap.sections.has(sectionOfPfn(frame), SectionFlag.online))
      return undefined;
    const page = memmap.pfnToPage(frame);
    if (!memmap.initialised(page)) {
      for (const node of this.#memory.nodes)
        for (const zone of node?.zones ?? []) zone.deferred.touch(zone, frame);
    }
    return page;
  }

  #log(level: LogLevel, text: string): void {
    this.#memory.kernel.log.printk(level, `Memory failure: ${text}`);
  }

  #poison(page: Page): void {
    this.#memory.memmap.set(page, PageFlag.hwpoison);
    this.#memory.counters.poisonedPages++;
  }

  /**
   * Takes a free page off the free lists and puts the rest of its block back.
   *
   * @returns whether the page was free
   * @see take_page_off_buddy()
   */
  #takeFree(page: Page): boolean {
    const { memmap, allocator } = this.#memory;
    const zone = allocator.zoneOf(page);
    allocator.drainPcp(zone);
    for (let order = 0; order < MAX_ORDER; order++) {
      const head = (page & ~((1 << order) - 1)) as Page;
      if (memmap.freeBlockOrder(head, zone.type) !== order) continue;
      const type = memmap.freeBlockType(head) as MigrateType;
      zone.free.takeBlock(head, order);
      if (type !== MigrateType.Isolate) addTo(zone, ZoneStat.nr_free_pages, -(1 << order));
      for (let low = order - 1, block = head as number; low >= 0; low--) {
        const upper = block + (1 << low);
        const spare = page >= upper ? block : upper;
        if (page >= upper) block = upper;
        allocator.freeToBuddy(zone, spare as Page, low, type, false);
      }
      memmap.setRefcount(page, 1);
      return page !== NULL_PAGE;
    }
    return false;
  }
}

/** Formats a frame number as `%#lx` does: 0 has no prefix. */
function hex(frame: Pfn): string {
  return frame === 0 ? "0" : `0x${frame.toString(16)}`;
}
