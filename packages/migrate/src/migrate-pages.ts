// Page migration: moves pages in use to other frames, for hotplug, compaction, memory policies, NUMA balancing and
// longterm pins. Users of a page see a delay and no other change.
// Kernel counterpart: migrate_pages() in mm/migrate.c.
import { condResched, KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { describePage, NULL_PAGE, PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import { MigrateAtOnce, PAGES_AT_ONCE } from "./migrate-at-once.ts";
import { type MigrateFailure, type MigrateMode, MigrateReason, type MigrateResult } from "./migrate-mode.ts";
import type { MigrationTarget } from "./migration-target.ts";
import { splitForMigration } from "./split-for-migration.ts";
import { unmapAndMove } from "./unmap-and-move.ts";

/** Attempts for each page. @see NR_MAX_MIGRATE_PAGES_RETRY */
const MAX_PASSES = 10;

/**
 * Migrates isolated pages (lru.isolate()). A page that has moved is no longer isolated and is freed, unless the reason
 * is MemoryFailure: then the caller has its last reference. A page that stays is still isolated: putbackMovablePages()
 * puts it back. A page that is busy is tried ten times. Huge pages are split first.
 *
 * @param target allocator of the new pages
 * @param mode what may be waited for
 * @returns pages of 4 KiB that moved, and each page that stayed with its reason: EAGAIN if it has another reference,
 *   EBUSY if it can't be moved or waited for, ENOMEM if there is no free page, for it and for all that were to follow
 * @throws KernelBug for a page that isn't isolated
 * @see migrate_pages()
 */
export function* migratePages(
  vm: Vm,
  pages: readonly Page[],
  target: MigrationTarget,
  mode: MigrateMode,
  reason: MigrateReason,
): Sleeps<MigrateResult> {
  const migration = new Migration(vm, target, mode, reason);
  yield* migration.run(yield* migration.splitHuge(pages));
  migration.count();
  return { migrated: migration.migrated, failed: migration.failed };
}

/** Puts isolated pages back on their LRU lists. @see putback_movable_pages() */
export function putbackMovablePages(vm: Vm, pages: Iterable<Page>): void {
  for (const page of pages) vm.lru.putback(page);
}

/** The state of one call. */
class Migration {
  /** Pages of 4 KiB that have moved. */
  migrated = 0;
  readonly failed: MigrateFailure[] = [];
  private readonly vm: Vm;
  private readonly target: MigrationTarget;
  private readonly mode: MigrateMode;
  private readonly reason: MigrateReason;
  /** Pages that failed with EAGAIN in this pass. */
  private retry: MigrateFailure[] = [];
  /** Pages of 4 KiB that have failed. @see nr_failed_pages */
  private failedPages = 0;
  private hugeFailed = 0;
  private hugeSplit = 0;

  constructor(vm: Vm, target: MigrationTarget, mode: MigrateMode, reason: MigrateReason) {
    this.vm = vm;
    this.target = target;
    this.mode = mode;
    this.reason = reason;
  }

  /**
   * Splits huge pages.
   *
   * @returns all pages, with the parts of each huge page in its place; a huge page that can't be split has failed
   */
  *splitHuge(pages: readonly Page[]): Sleeps<readonly Page[]> {
    const { memmap } = this.vm;
    if (!pages.some((page) => memmap.test(page, PageFlag.head))) return pages;
    const small: Page[] = [];
    for (const page of pages) {
      const parts = 1 << memmap.compoundOrder(page);
      if (parts > 1) this.hugeFailed++;
      if (parts === 1 || (yield* this.split(page))) {
        for (let i = 0; i < parts; i++) small.push((page + i) as Page);
      } else {
        this.failedPages += parts;
        this.failed.push({ page, errno: "EBUSY", reason: "is a huge page that can't be divided now" });
      }
    }
    return small;
  }

  /** Makes up to MAX_PASSES passes. Afterwards every page has moved or failed. */
  *run(pages: readonly Page[]): Sleeps<void> {
    const atOnce = new MigrateAtOnce(this.vm, pages.length);
    let todo = pages;
    for (let pass = 0; pass < MAX_PASSES && todo.length > 0; pass++) {
      // Other tasks run, and may release pages that were busy.
      if (pass > 0) yield condResched;
      this.retry = [];
      if (!(yield* this.pass(todo, pass, atOnce))) break;
      todo = this.retry.map(({ page }) => page);
    }
    this.failedPages += this.retry.length;
    this.failed.push(...this.retry);
  }

  /** Adds the result to the counters of /proc/vmstat. */
  count(): void {
    const { allocator } = this.vm.memory;
    allocator.countEvent(VmEvent.pgmigrate_success, this.migrated);
    allocator.countEvent(VmEvent.pgmigrate_fail, this.failedPages);
    allocator.countEvent(VmEvent.thp_migration_fail, this.hugeFailed);
    allocator.countEvent(VmEvent.thp_migration_split, this.hugeSplit);
  }

  /** Splits a huge page. @see try_split_folio() */
  private *split(head: Page): Sleeps<boolean> {
    const { vm } = this;
    if (!(yield* splitForMigration(vm, head))) return false;
    this.hugeSplit++;
    return true;
  }

  /** Tries each page once. @returns false if there was no free page; all that were left have failed then */
  private *pass(pages: readonly Page[], pass: number, atOnce: MigrateAtOnce): Sleeps<boolean> {
    const { target, vm } = this;
    for (let i = 0; i < pages.length; i++) {
      const page = pages[i] as Page;
      if (i % PAGES_AT_ONCE === PAGES_AT_ONCE - 1) {
        atOnce.finish(this.done);
        yield condResched;
      }
      if (this.gone(page)) continue;
      let fresh = target.tryAlloc(page);
      if (fresh !== NULL_PAGE && atOnce.migrate(page, fresh)) continue;
      atOnce.finish(this.done);
      if (fresh === NULL_PAGE) fresh = yield* target.alloc(page);
      if (fresh === NULL_PAGE) {
        this.outOfMemory(pages.slice(i));
        return false;
      }
      this.settle(page, fresh, yield* unmapAndMove(vm, page, fresh, this.mode, pass));
    }
    atOnce.finish(this.done);
    return true;
  }

  /** Whether all other users of a page have dropped it: the page is freed instead of migrated. */
  private gone(page: Page): boolean {
    const { memmap } = this.vm;
    if (!memmap.test(page, PageFlag.isolated)) this.notIsolated(page);
    if (memmap.refcount(page) !== 1) return false;
    memmap.clear(page, PageFlag.active | PageFlag.unevictable);
    this.done(page);
    return true;
  }

  private settle(page: Page, fresh: Page, failure: MigrateFailure | undefined): void {
    if (failure === undefined) {
      this.done(page);
      return;
    }
    this.vm.memmap.putPage(fresh);
    if (failure.errno === "EAGAIN") {
      this.retry.push(failure);
    } else {
      this.failedPages++;
      this.failed.push(failure);
    }
  }

  /** Counts a page that has moved, and frees it. @see migrate_folio_done() */
  private readonly done = (page: Page): void => {
    const { lru, pages } = this.vm;
    this.migrated++;
    lru.forgetIsolated(page);
    if (this.reason !== MigrateReason.MemoryFailure) pages.putMigrated(page);
  };

  private outOfMemory(left: readonly Page[]): void {
    this.failedPages += 1;
    const reason = "has nowhere to go: there is no free page for it";
    for (const page of left) this.failed.push({ page, errno: "ENOMEM", reason });
  }

  private notIsolated(page: Page): never {
    throw new KernelBug(`migrated without being isolated: ${describePage(this.vm.memmap, page)}`);
  }
}
