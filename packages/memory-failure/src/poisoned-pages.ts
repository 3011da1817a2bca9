// What becomes of a page in use whose memory is bad: everybody is cut off from it, who loses something is told, and the
// page never is anybody's again. And of one that is about to go bad: it moves, and nobody notices. Kernel counterpart:
// memory_failure() and soft_offline_page() in mm/memory-failure.c.
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

const GFP_SOFT_OFFLINE: number = GFP_USER | Gfp.MOVABLE | Gfp.RETRY_MAYFAIL;
/** How often a page that somebody has taken off its list for a moment is looked at again. @see get_any_page() */
const LOOKS_MAX = 4;

export class ProcessPoisonedPages implements PoisonedPageOwner {
  private readonly vm: Vm;
  /** Who was reading a page when it failed. */
  private readonly accessing = new Map<Page, Process>();

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * A process has read bad memory: it gets SIGBUS whether or not it asked to hear early.
   *
   * @param address what it read, for when the page is known to be bad already
   * @throws KernelError as MemoryFailure.hardOffline() does
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
    // Without a reference, or with users that no list knows, it is the kernel's: nobody can tell them.
    if (!(yield* this.takeHandlable(page))) {
      const used = memmap.refcount(memmap.compoundHead(page)) > 0;
      if (used) throw new KernelError("EIO", "it is the kernel's, which can't be told to stop");
      actionResult(vm, page, "high-order kernel page", "Ignored");
      throw new KernelError("EBUSY", `${describePage(memmap, page)} is the kernel's and can't be recovered`);
    }
    if (!(yield* this.splitOff(page))) {
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
      yield* this.cutOff(page, frame);
    }
    const result = takeOutOfUse(vm, page, before);
    if (result === "Recovered" || result === "Delayed") return;
    throw new KernelError(
      "EBUSY",
      `${describePage(memmap, page)} stays in use${describeUsers(vm, page)}, though nobody maps it`,
    );
  }

  *softOffline(page: Page): Sleeps<void> {
    const { vm } = this;
    const { kernel, memmap } = vm;
    const frame = `0x${memmap.pageToPfn(page).toString(16)}`;
    if (!(yield* this.takeHandlable(page))) {
      throw new KernelError("EIO", "it is the kernel's, which can't give it up");
    }
    if (!(yield* this.splitOff(page))) {
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
    yield* this.moveAway(page, frame);
  }

  /** Takes a reference on a page that is on an LRU list, or will be again in a moment. @see get_hwpoison_page() */
  private *takeHandlable(page: Page): Sleeps<boolean> {
    const { memmap } = this.vm;
    for (let look = 0; look < LOOKS_MAX; look++) {
      const head = memmap.compoundHead(page);
      if (memmap.test(head, PageFlag.lru)) return memmap.getPageUnlessZero(head);
      yield condResched;
    }
    return false;
  }

  /**
   * Divides the huge page that a page is a part of. The caller's reference on the whole is one on the part afterwards,
   * and gone when it could not be divided.
   *
   * @returns whether the page is a small one now @see try_to_split_thp_page()
   */
  private *splitOff(page: Page): Sleeps<boolean> {
    const { lru, memmap } = this.vm;
    const head = memmap.compoundHead(page);
    if (!memmap.test(head, PageFlag.head)) return true;
    const parts = 1 << memmap.compoundOrder(head);
    const isolated = lru.isolate(head);
    // What isolated it holds it: one more reference would be in the way of the division.
    memmap.putPage(head);
    if (!isolated) return false;
    const divided = yield* splitForMigration(this.vm, head);
    if (divided) memmap.getPage(page);
    for (let i = 0; i < (divided ? parts : 1); i++) lru.putback((head + i) as Page);
    return divided;
  }

  /** Unmaps a locked page, and tells the processes that lose something. @throws KernelError EBUSY when somebody still maps it @see hwpoison_user_mappings() */
  private *cutOff(page: Page, frame: Pfn): Sleeps<void> {
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

  /** Whether the file has the same as the page. What the entries know of writes goes to the page first. */
  private *isCleanFilePage(page: Page): Sleeps<boolean> {
    const { vm } = this;
    const { memmap } = vm;
    if (memmap.test(page, PageFlag.dirty) || vm.mappings.of(memmap, page)?.canWriteback !== true)
      return false;
    if ((yield* pageMkclean(vm, page)) === 0) return true;
    setPageDirty(vm, page);
    return false;
  }

  /** Drops a clean page of a file that nobody maps: it can be read again. @see invalidate_inode_page() */
  private invalidate(page: Page): boolean {
    const { vm } = this;
    const { memmap } = vm;
    const ofFile = vm.mappings.of(memmap, page) !== undefined;
    if (!ofFile || memmap.test(page, PageFlag.swapcache) || memmap.mapcount(page) > 0) return false;
    return removeMapping(vm, page, 0);
  }

  private *moveAway(page: Page, frame: string): Sleeps<void> {
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
