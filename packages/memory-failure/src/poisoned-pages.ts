// Hard and soft offlining of pages in use. Hard offline, after a memory error: the page is unmapped, processes that
// lose data get a signal, and the page is never allocated again. Soft offline, for a page that is about to fail: the
// contents move to another page, and processes see no change. Kernel counterpart: memory_failure() and
// soft_offline_page() in mm/memory-failure.c.
import { condResched, KernelError, type Page, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  describeUsers,
  MigrateMode,
  migratePages,
  MigrateReason,
  migrationTarget,
  putbackMovablePages,
  splitForMigration,
} from "@hetmem/migrate";
import { lockPage, type Process, unlockPage, type Vm } from "@hetmem/mm";
import { setPageDirty, waitOnWriteback } from "@hetmem/mm/file";
import { pageMkclean, tryToUnmapLocked, tryToUnmapPoisoned } from "@hetmem/mm/rmap";
import { describePage, formatPageFlags, PageFlag } from "@hetmem/page";
import { removeMapping } from "@hetmem/page-cache";
import { Gfp, GFP_USER, type MemoryFailure, type PoisonedPageOwner } from "@hetmem/zone";
import { collectProcs, killForcibly, killProcs } from "./collect-procs.ts";
import { actionResult, takeOutOfUse } from "./page-action.ts";
import "./version.ts";

const GFP_SOFT_OFFLINE: number = GFP_USER | Gfp.MOVABLE | Gfp.RETRY_MAYFAIL;
/**
 * Attempts to find a page on its LRU list: another task may have isolated the page for a short time.
 *
 * @see get_any_page()
 */
const ATTEMPTS_MAX = 4;

/** Port implementation: what MemoryFailure of the zone package does with pages in use. */
export class ProcessPoisonedPages implements PoisonedPageOwner {
  private readonly vm: Vm;
  /** Process whose access to a page failed, by page. */
  private readonly accessing = new Map<Page, Process>();

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * Handles the access of a process to bad memory: offlines the page, and sends the process SIGBUS even without early
   * kill.
   *
   * @param failure memory failure handling of the machine
   * @param address address of the access, for a page that is known to be bad already
   * @param frame number of the bad frame
   * @throws KernelError as MemoryFailure.hardOffline()
   * @see memory_failure() with MF_ACTION_REQUIRED, kill_accessing_process()
   */
  *machineCheck(failure: MemoryFailure, process: Process, address: VirtAddr, frame: Pfn): Sleeps<void> {
    const page = this.vm.memmap.pfnToPage(frame);
    this.accessing.set(page, process);
    try {
      yield* failure.hardOffline(frame);
    } catch (error) {
      if (error instanceof KernelError && error.errno === "EHWPOISON")
        killProcs(this.vm, [{ process, address }], frame, process);
      throw error;
    } finally {
      this.accessing.delete(page);
    }
  }

  *hardOffline(page: Page): Sleeps<void> {
    const { vm } = this;
    const { memmap } = vm;
    const frame = memmap.pageToPfn(page);
    // A page that is on no LRU list belongs to the kernel, whose users of the page can't be told.
    if (!(yield* this.getHwpoisonPage(page))) {
      const used = memmap.refcount(memmap.compoundHead(page)) > 0;
      if (used) throw new KernelError("EIO", "it is the kernel's, which can't be told to stop");
      actionResult(vm, page, "high-order kernel page", "Ignored");
      throw new KernelError("EBUSY", `${describePage(memmap, page)} is the kernel's and can't be recovered`);
    }
    if (!(yield* this.splitThp(page))) {
      actionResult(vm, page, "unsplit thp", "Ignored");
      throw new KernelError(
        "EBUSY",
        `${describePage(memmap, page)} is a part of a huge page that can't be divided now`,
      );
    }
    yield* lockPage(memmap, page);
    const before = memmap.flags(page);
    if ((before & (PageFlag.lru | PageFlag.writeback)) !== 0) {
      yield* waitOnWriteback(vm, page);
      yield* this.unmapUsers(page, frame);
    }
    const result = takeOutOfUse(vm, page, before);
    if (result === "Recovered" || result === "Delayed") return;
    throw new KernelError(
      "EBUSY",
      `${describePage(memmap, page)} stays in use${describeUsers(vm, page)}, although no process maps it`,
    );
  }

  *softOffline(page: Page): Sleeps<void> {
    const { vm } = this;
    const { kernel, memmap } = vm;
    const frame = `0x${memmap.pageToPfn(page).toString(16)}`;
    if (!(yield* this.getHwpoisonPage(page))) {
      throw new KernelError("EIO", "it is the kernel's, which can't give it up");
    }
    if (!(yield* this.splitThp(page))) {
      kernel.log.printk(6, `soft offline: ${frame}: thp split failed`);
      throw new KernelError(
        "EBUSY",
        `${describePage(memmap, page)} is a part of a huge page that can't be divided now`,
      );
    }
    yield* lockPage(memmap, page);
    yield* waitOnWriteback(vm, page);
    const invalidated = this.invalidate(page);
    unlockPage(memmap, page);
    if (invalidated) {
      kernel.log.printk(6, `soft_offline: ${frame}: invalidated`);
      memmap.putPage(page);
      return;
    }
    const isolated = vm.lru.isolate(page);
    memmap.putPage(page);
    if (!isolated) {
      kernel.log.printk(
        6,
        `soft offline: ${frame}: page isolation failed, page count ${memmap.refcount(page)}`,
      );
      throw new KernelError("EBUSY", `${describePage(memmap, page)} is on no list now: try again`);
    }
    yield* this.migrateAway(page, frame);
  }

  /**
   * Takes a reference on the head of a page that is on an LRU list, or comes back to one soon.
   *
   * @returns false if the page is on no list, or free
   * @see get_hwpoison_page()
   */
  private *getHwpoisonPage(page: Page): Sleeps<boolean> {
    const { memmap } = this.vm;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const head = memmap.compoundHead(page);
      if (memmap.test(head, PageFlag.lru)) return memmap.getPageUnlessZero(head);
      yield condResched;
    }
    return false;
  }

  /**
   * Splits the huge page that a page is a part of. On success the caller's reference on the huge page becomes one on
   * the page; on failure the reference is dropped.
   *
   * @returns false if the huge page can't be split
   * @see try_to_split_thp_page()
   */
  private *splitThp(page: Page): Sleeps<boolean> {
    const { lru, memmap } = this.vm;
    const head = memmap.compoundHead(page);
    if (!memmap.test(head, PageFlag.head)) return true;
    const parts = 1 << memmap.compoundOrder(head);
    const isolated = lru.isolate(head);
    // Isolation holds a reference of its own, and another one would prevent the split.
    memmap.putPage(head);
    if (!isolated) return false;
    const divided = yield* splitForMigration(this.vm, head);
    if (divided) memmap.getPage(page);
    for (let i = 0; i < (divided ? parts : 1); i++) lru.putback((head + i) as Page);
    return divided;
  }

  /**
   * Unmaps a locked page, and signals the processes that lose data.
   *
   * @throws KernelError EBUSY if the page can't be unmapped, or has just left its file
   * @see hwpoison_user_mappings()
   */
  private *unmapUsers(page: Page, frame: Pfn): Sleeps<void> {
    const { vm } = this;
    const { kernel, memmap } = vm;
    const accessing = this.accessing.get(page);
    if (memmap.mapcount(page) > 0) {
      const clean = yield* this.isCleanFilePage(page);
      const swapCached = memmap.test(page, PageFlag.swapcache);
      if (swapCached)
        kernel.log.printk(3, `Memory failure: 0x${frame.toString(16)}: keeping poisoned page in swap cache`);
      if (clean)
        kernel.log.printk(
          6,
          `Memory failure: 0x${frame.toString(16)}: corrupted page was clean: dropped without side effects`,
        );
      const toKill = yield* collectProcs(vm, page, accessing);
      const unmapped =
        clean || swapCached ? yield* tryToUnmapLocked(vm, page) : yield* tryToUnmapPoisoned(vm, page);
      if (!unmapped) this.fail(page, frame, () => killForcibly(vm, toKill, frame));
      if (memmap.test(page, PageFlag.dirty)) killProcs(vm, toKill, frame, accessing);
    }
    if ((memmap.flags(page) & (PageFlag.lru | PageFlag.swapcache)) !== PageFlag.lru) return;
    if (memmap.mapping(page) !== 0) return;
    actionResult(vm, page, "already truncated LRU page", "Ignored");
    unlockPage(memmap, page);
    throw new KernelError("EBUSY", `${describePage(memmap, page)} has just lost its file: it will be freed`);
  }

  /** Kills the processes that map a page, unlocks the page, and fails. */
  private fail(page: Page, frame: Pfn, kill: () => void): never {
    const { vm } = this;
    const { kernel, memmap } = vm;
    kernel.log.printk(
      3,
      `Memory failure: 0x${frame.toString(16)}: failed to unmap page (mapcount=${memmap.mapcount(page)})`,
    );
    kill();
    actionResult(vm, page, "unmapping failed page", "Ignored");
    unlockPage(memmap, page);
    throw new KernelError(
      "EBUSY",
      `${describePage(memmap, page)} can't be unmapped${describeUsers(vm, page)}`,
    );
  }

  /** Whether the disk has the same contents as a page of a file. Dirty bits of entries are moved to the page first. */
  private *isCleanFilePage(page: Page): Sleeps<boolean> {
    const { vm } = this;
    const { memmap } = vm;
    if (memmap.test(page, PageFlag.dirty) || vm.mappings.of(memmap, page)?.canWriteback !== true)
      return false;
    if ((yield* pageMkclean(vm, page)) === 0) return true;
    setPageDirty(vm, page);
    return false;
  }

  /**
   * Evicts a clean, unmapped page of a file, which can be read from the disk again.
   *
   * @returns false if the page stays
   * @see invalidate_inode_page()
   */
  private invalidate(page: Page): boolean {
    const { vm } = this;
    const { memmap } = vm;
    const ofFile = vm.mappings.of(memmap, page) !== undefined;
    if (!ofFile || memmap.test(page, PageFlag.swapcache) || memmap.mapcount(page) > 0) return false;
    return removeMapping(vm, page, 0);
  }

  /**
   * Migrates an isolated page.
   *
   * @throws KernelError EBUSY if it stays
   * @see soft_offline_in_use_page()
   */
  private *migrateAway(page: Page, frame: string): Sleeps<void> {
    const { vm } = this;
    const { kernel, memmap } = vm;
    const target = migrationTarget(vm, { gfp: GFP_SOFT_OFFLINE });
    const { failed } = yield* migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.MemoryFailure);
    const [failure] = failed;
    if (!failure) return memmap.putPage(page);
    putbackMovablePages(vm, [page]);
    const type = formatPageFlags(memmap, page);
    kernel.log.printk(6, `soft offline: ${frame}: page migration failed ${failed.length}, type ${type}`);
    throw new KernelError("EBUSY", `${describePage(memmap, page)} can't move: it ${failure.reason}`);
  }
}
