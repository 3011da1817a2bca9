// Port implementation: what offlining of a memory block needs of pages in use. Offlining asks whether a page is
// movable, migrates a range, and reports the users of a page that stays. Kernel counterpart: do_migrate_range() and
// scan_movable_pages() in mm/memory_hotplug.c.
import { condResched, errnoNumber, type NodeId, type Page, type Pfn, type Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { nodesWithMemory } from "@hetmem/mm/policy";
import { tryToUnmapPoisoned } from "@hetmem/mm/rmap";
import { dumpPage, PageFlag } from "@hetmem/page";
import { Gfp, GFP_USER, type PageMigration, ZoneType } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages, putbackMovablePages } from "./migrate-pages.ts";
import { migrationTarget, type MigrationTargetControl } from "./migration-target.ts";
import { describeUsers } from "./page-users.ts";

const GFP_OFFLINE: number = GFP_USER | Gfp.MOVABLE | Gfp.RETRY_MAYFAIL;
/** Pages of one pass in the log. @see DEFAULT_RATELIMIT_BURST */
const LOG_BURST = 10;
/** Flags of pages that never move. */
const NOT_MOVABLE =
  PageFlag.reserved | PageFlag.slab | PageFlag.table | PageFlag.offline | PageFlag.vmemmapSelfHosted;

/** Implements the port PageMigration of the zone package for pages of processes. */
export class ProcessPageMigration implements PageMigration {
  private readonly vm: Vm;
  private logged = 0;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * Whether a page may be migrated: it is on an LRU list, isolated, or about to be added to one. In ZONE_MOVABLE every
   * page is. A huge page of the pool is movable while it is free.
   *
   * @see has_unmovable_pages()
   */
  isMovable(page: Page): boolean {
    const { hugetlb, memmap, zeroPage } = this.vm;
    const flags = memmap.flags(page);
    if ((flags & NOT_MOVABLE) !== 0 || page === zeroPage) return false;
    if (hugetlb.owns(page)) return memmap.refcount(page) === 0;
    return (
      (flags & (PageFlag.lru | PageFlag.isolated)) !== 0 ||
      memmap.mapping(page) !== 0 ||
      memmap.zoneOf(page) === ZoneType.Movable
    );
  }

  *migrateRange(start: Pfn, end: Pfn): Sleeps<void> {
    const { vm } = this;
    const { memmap } = vm;
    this.logged = 0;
    const pages: Page[] = [];
    for (let frame = start; frame < end;) {
      const page = memmap.pfnToPage(frame);
      const free = memmap.freeBlockOrder(page, memmap.zoneOf(page));
      if (free >= 0) {
        frame = (frame + (1 << free)) as Pfn;
        continue;
      }
      const head = memmap.compoundHead(page);
      if (memmap.test(page, PageFlag.hwpoison)) yield* this.unmapPoisoned(page);
      else if (memmap.refcount(head) > 0) this.isolate(head, pages);
      frame = (memmap.pageToPfn(head) + (1 << memmap.compoundOrder(head))) as Pfn;
      if (frame % 512 === 0) yield condResched;
    }
    if (pages.length > 0) yield* this.migrate(pages);
  }

  dissolveFreeHugePages(start: Pfn, end: Pfn): void {
    this.vm.hugetlb.dissolveFree(start, end);
  }

  /** The users of a page, as the rest of a sentence: `, pinned (refcount 1025, mapcount 1) by process 12 (qemu)`. */
  reason(page: Page): string {
    return describeUsers(this.vm, page);
  }

  private isolate(head: Page, pages: Page[]): void {
    const { kernel, lru, memmap } = this.vm;
    if (lru.isolate(head)) pages.push(head);
    else if (this.logged++ < LOG_BURST) {
      kernel.log.printk(4, `failed to isolate pfn ${memmap.pageToPfn(head).toString(16)}`);
      dumpPage(kernel.log, memmap, head, "isolation failed");
    }
  }

  private *migrate(pages: readonly Page[]): Sleeps<void> {
    const { vm } = this;
    const { kernel, memmap } = vm;
    const target = migrationTarget(vm, this.elsewhere(memmap.nodeOf(pages[0] as Page)));
    const { failed } = yield* migratePages(vm, pages, target, MigrateMode.Sync, MigrateReason.MemoryHotplug);
    const outOfMemory = failed.find(({ errno }) => errno === "ENOMEM");
    // The return value of migrate_pages(): -ENOMEM, or the number of pages that stayed.
    const answer = outOfMemory ? -errnoNumber("ENOMEM") : failed.length;
    for (const { page } of failed) {
      if (this.logged++ >= LOG_BURST) break;
      kernel.log.printk(4, `migrating pfn ${memmap.pageToPfn(page).toString(16)} failed ret:${answer}`);
      dumpPage(kernel.log, memmap, page, "migration failure");
    }
    putbackMovablePages(
      vm,
      failed.map(({ page }) => page),
    );
  }

  /**
   * All other nodes with memory, nearest first; without another node, the same one: its free pages in the range are
   * isolated.
   */
  private elsewhere(node: NodeId): MigrationTargetControl {
    const others = nodesWithMemory(this.vm.memory).filter((candidate) => candidate !== node);
    return { node, allowed: others.length > 0 ? others : [node], gfp: GFP_OFFLINE };
  }

  /**
   * Unmaps a page with a memory error, which can't be migrated. The page is locked for that: the handler of the error
   * holds the lock until the page is unmapped and on no list.
   */
  private *unmapPoisoned(page: Page): Sleeps<void> {
    const { vm } = this;
    const { memmap } = vm;
    if (memmap.mapcount(page) === 0 && !memmap.test(page, PageFlag.lru)) return;
    if (!memmap.getPageUnlessZero(page)) return;
    yield* lockPage(memmap, page);
    yield* tryToUnmapPoisoned(vm, page);
    unlockPage(memmap, page);
    memmap.putPage(page);
  }
}
