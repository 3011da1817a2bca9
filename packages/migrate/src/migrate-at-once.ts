// A fast path of migration, for the common case: no lock of the page is held, no process that maps it has notifiers,
// and every reference belongs to an entry or a cache. Then no task can see an intermediate state, and the entries go
// from the old page to the new one without migration entries. The path allocates nothing, and copies the contents of
// many pages together, which is faster. The kernel has no counterpart, since its other CPUs could see intermediate
// states. The result is that of unmapAndMove().
import type { Page } from "@hetmem/kernel";
import type { IntervalTree } from "@hetmem/kernel/lib";
import { moveNodeStat, type Vm, type Vma, VmFlag } from "@hetmem/mm";
import { setPageDirty } from "@hetmem/mm/file";
import { MAPPING_ANON, PGOFF_WINDOW, presentAfterMigration, presentEntry } from "@hetmem/mm/rmap";
import { hasListeners, setUnheard } from "@hetmem/mmu-notifier";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { NodeStat } from "@hetmem/zone";
import { cacheReferences, moveIdentity } from "./migrate-page.ts";

/**
 * Flags of pages that need the slow path: locked, under writeback, compound, in the swap cache, or with other state.
 */
export const NOT_AT_ONCE: number =
  PageFlag.locked |
  PageFlag.writeback |
  PageFlag.head |
  PageFlag.tail |
  PageFlag.swapcache |
  PageFlag.hwpoison |
  PageFlag.unevictable |
  PageFlag.mlocked;

const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
const NR_FILE_MAPPED: number = NodeStat.nr_mapped;

/** Pages moved between two calls of finish(), at most. */
export const PAGES_AT_ONCE = 512;

export class MigrateAtOnce {
  private readonly vm: Vm;
  private readonly memmap: MemMap;
  /** Old pages whose contents are not copied yet. */
  private readonly moved: Int32Array;
  /** New pages, one for each of `moved`. */
  private readonly targets: Int32Array;
  private count = 0;
  // The page being moved, and the range of the tree with its mappings. Fields, so that the visitors below are made once
  // instead of once a page.
  private page: Page = NULL_PAGE as Page;
  private fresh: Page = NULL_PAGE as Page;
  private tree: IntervalTree<Vma> | undefined = undefined;
  private firstPgoff = 0;
  private lastPgoff = 0;
  private pgoff = 0;
  // Results of the visitors: number of entries, the union of their flags, whether all of them are simple, and the last
  // one, which mostly is the only one.
  private entries = 0;
  private flagsSeen = 0;
  private simple = true;
  private lastVma: Vma | undefined = undefined;
  private lastEntry = NO_ENTRY;

  /**
   * @param vm the machine's memory
   * @param pages pages to move in all, which sizes the arrays
   */
  constructor(vm: Vm, pages: number) {
    this.vm = vm;
    this.memmap = vm.memmap;
    this.moved = new Int32Array(Math.min(pages, PAGES_AT_ONCE));
    this.targets = new Int32Array(this.moved.length);
  }

  /**
   * Moves an isolated page to a new one. The caller's reference on the new page is dropped: entries and caches hold it,
   * and it is on its LRU list. The old page keeps the reference of its isolation. The contents follow with finish(),
   * which must be called before another task may run, and after PAGES_AT_ONCE pages at the latest.
   *
   * @param fresh new page, with one reference
   * @returns false if the page needs the slow path; nothing has changed then
   * @see unmapAndMove()
   */
  migrate(page: Page, fresh: Page): boolean {
    const { memmap, vm } = this;
    const flags = memmap.flags(page);
    if ((flags & NOT_AT_ONCE) !== 0) return false;
    const mapcount = memmap.mapcount(page);
    const mapping = memmap.mapping(page);
    const cached = cacheReferences(flags, mapping);
    if (mapcount + cached === 0 || memmap.refcount(page) !== 1 + mapcount + cached) return false;
    this.page = page;
    this.fresh = fresh;
    const anon = (mapping & MAPPING_ANON) !== 0;
    if (!(anon ? this.findAnonVma() : this.findFile()) || !this.inspectEntries(mapcount)) return false;
    if ((this.flagsSeen & Pte.dirty) !== 0) setPageDirty(vm, page);
    moveIdentity(vm, page, fresh);
    this.moveEntries();
    memmap.setMapcount(page, 0);
    memmap.setRefcount(page, 1);
    memmap.setMapcount(fresh, mapcount);
    memmap.setRefcount(fresh, mapcount + cached);
    if ((flags & PageFlag.anonExclusive) !== 0) this.moveExclusive();
    if (mapcount > 0) moveNodeStat(vm, page, fresh, anon ? NR_ANON_MAPPED : NR_FILE_MAPPED);
    vm.lru.add(fresh);
    this.moved[this.count] = page;
    this.targets[this.count++] = fresh;
    return true;
  }

  /** Copies the contents of the pages that have moved. @param done called for each old page after the copy */
  finish(done: (page: Page) => void): void {
    const { moved, targets, count } = this;
    const { contents } = this.memmap;
    this.count = 0;
    contents.copyPages(targets, moved, count);
    for (let i = 0; i < count; i++) done(moved[i] as Page);
  }

  /** Finds the mappings of an anonymous page. @returns false if another task holds the rmap lock for writing */
  private findAnonVma(): boolean {
    const { memmap, vm, page } = this;
    const anonVma = vm.anonVmas.of(memmap, page);
    if (anonVma === undefined || anonVma.rwsem.writeLocked) return false;
    const index = memmap.index(page) >>> 0;
    this.tree = anonVma.mappings;
    this.firstPgoff = anonVma.firstWindow * PGOFF_WINDOW + index;
    this.lastPgoff = anonVma.lastWindow * PGOFF_WINDOW + index;
    return true;
  }

  /**
   * Finds the mappings of a page of a file.
   *
   * @returns false if another task holds the lock of the mappings for writing
   */
  private findFile(): boolean {
    const { memmap, vm, page } = this;
    const file = vm.mappings.of(memmap, page);
    if (file === undefined || file.iMmapRwsem.writeLocked) return false;
    this.tree = file.iMmap;
    this.firstPgoff = this.lastPgoff = memmap.index(page) >>> 0;
    return true;
  }

  /**
   * Whether every mapping of the page is found, no process has notifiers, and no mapping is mlocked.
   *
   * @param mapcount entries that map the page
   */
  private inspectEntries(mapcount: number): boolean {
    this.entries = 0;
    this.flagsSeen = 0;
    this.simple = true;
    this.visit(this.inspectEntry);
    return this.simple && this.entries === mapcount;
  }

  private moveEntries(): void {
    if (this.entries > 1) this.visit(this.moveEntryOf);
    else if (this.entries === 1 && this.lastVma !== undefined) this.moveEntry(this.lastVma, this.lastEntry);
  }

  private visit(visitor: (vma: Vma) => void): void {
    for (this.pgoff = this.firstPgoff; this.pgoff <= this.lastPgoff; this.pgoff += PGOFF_WINDOW)
      this.tree?.visitOverlapping(this.pgoff, this.pgoff, visitor);
  }

  private readonly inspectEntry = (vma: Vma): void => {
    const { mm } = vma;
    const entry = presentEntry(mm.pageTable, vma.addressOf(this.pgoff), this.page);
    if (entry === NO_ENTRY) return;
    this.entries++;
    this.flagsSeen |= mm.pageTable.flags(entry);
    this.lastVma = vma;
    this.lastEntry = entry;
    if (hasListeners(mm) || (vma.flags & VmFlag.LOCKED) !== 0) this.simple = false;
  };

  private readonly moveEntryOf = (vma: Vma): void => {
    const entry = presentEntry(vma.mm.pageTable, vma.addressOf(this.pgoff), this.page);
    if (entry !== NO_ENTRY) this.moveEntry(vma, entry);
  };

  private moveEntry(vma: Vma, entry: number): void {
    const { pageTable } = vma.mm;
    const flags = pageTable.flags(entry);
    const writable = (flags & Pte.write) !== 0 && (vma.flags & VmFlag.WRITE) !== 0;
    setUnheard(vma.mm, entry, this.fresh, presentAfterMigration(vma, writable, flags));
  }

  private moveExclusive(): void {
    this.memmap.clear(this.page, PageFlag.anonExclusive);
    this.memmap.set(this.fresh, PageFlag.anonExclusive);
  }
}
