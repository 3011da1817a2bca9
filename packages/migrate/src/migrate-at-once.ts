// The migration that nearly every migration is: nobody holds the page's locks, nobody mirrors the processes that map it,
// and nobody else has a reference. Then nothing can be seen of it half done, and migration entries need not be made:
// each entry goes from the old page to the new one. It allocates nothing, and what is written in the pages is copied for
// many at a time, as memory likes best. The kernel has no counterpart, since its other cpus can see everything; what
// comes out is what unmapAndMove() makes.
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

/** Pages that somebody works on, that are more than one, or that need more than is done for many at once. */
export const NOT_AT_ONCE: number =
  PageFlag.locked |
  PageFlag.writeback |
  PageFlag.head |
  PageFlag.tail |
  PageFlag.swapcache |
  PageFlag.hwpoison |
  PageFlag.private |
  PageFlag.unevictable |
  PageFlag.mlocked;

const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
const NR_FILE_MAPPED: number = NodeStat.nr_mapped;

/** Pages that may have moved before finish(). */
export const PAGES_AT_ONCE = 512;

export class MigrateAtOnce {
  private readonly vm: Vm;
  private readonly memmap: MemMap;
  /** Pages that have moved but for what is written in them. */
  private readonly moved: Int32Array;
  private readonly targets: Int32Array;
  private count = 0;
  // The page that is being moved and where its mappings are found: kept here, so that visitors are made once and not for
  // each page.
  private page: Page = NULL_PAGE as Page;
  private fresh: Page = NULL_PAGE as Page;
  private tree: IntervalTree<Vma> | undefined = undefined;
  private firstPgoff = 0;
  private lastPgoff = 0;
  private pgoff = 0;
  // What the visitors have found: entries, what they had noted, and the last of them, which mostly is the only one.
  private entries = 0;
  private noted = 0;
  private simple = true;
  private lastVma: Vma | undefined = undefined;
  private lastEntry = NO_ENTRY;

  /** @param pages that there are to move in all */
  constructor(vm: Vm, pages: number) {
    this.vm = vm;
    this.memmap = vm.memmap;
    this.moved = new Int32Array(Math.min(pages, PAGES_AT_ONCE));
    this.targets = new Int32Array(this.moved.length);
  }

  /**
   * Moves an isolated page to a new one with one reference, which is the caller's and is gone afterwards. The new page is
   * on its LRU list then, and the old one has its isolation's reference only. What is written in it follows with
   * finish(): before anybody else may run, and after PAGES_AT_ONCE pages at the latest.
   *
   * @returns false when it takes more than that, and nothing has changed: see unmapAndMove()
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
    if (!(anon ? this.findAnonVma() : this.findFile()) || !this.lookAtEntries(mapcount)) return false;
    if ((this.noted & Pte.dirty) !== 0) setPageDirty(vm, page);
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

  /** Copies what is written in the pages that have moved, and lets the caller put an end to each. */
  finish(done: (page: Page) => void): void {
    const { moved, targets, count } = this;
    const { contents } = this.memmap;
    this.count = 0;
    contents.copyPages(targets, moved, count);
    for (let i = 0; i < count; i++) done(moved[i] as Page);
  }

  /** @returns false when whoever changes the mappings is at work */
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

  private findFile(): boolean {
    const { memmap, vm, page } = this;
    const file = vm.mappings.of(memmap, page);
    if (file === undefined || file.iMmapRwsem.writeLocked) return false;
    this.tree = file.iMmap;
    this.firstPgoff = this.lastPgoff = memmap.index(page) >>> 0;
    return true;
  }

  /** Whether all entries are found, nobody hears of their changes, and no mapping is locked in memory. */
  private lookAtEntries(mapcount: number): boolean {
    this.entries = 0;
    this.noted = 0;
    this.simple = true;
    this.visit(this.look);
    return this.simple && this.entries === mapcount;
  }

  private moveEntries(): void {
    if (this.entries > 1) this.visit(this.moveIn);
    else if (this.entries === 1 && this.lastVma !== undefined) this.moveEntry(this.lastVma, this.lastEntry);
  }

  private visit(visitor: (vma: Vma) => void): void {
    for (this.pgoff = this.firstPgoff; this.pgoff <= this.lastPgoff; this.pgoff += PGOFF_WINDOW)
      this.tree?.visitOverlapping(this.pgoff, this.pgoff, visitor);
  }

  private readonly look = (vma: Vma): void => {
    const { mm } = vma;
    const entry = presentEntry(mm.pageTable, vma.addressOf(this.pgoff), this.page);
    if (entry === NO_ENTRY) return;
    this.entries++;
    this.noted |= mm.pageTable.flags(entry);
    this.lastVma = vma;
    this.lastEntry = entry;
    if (hasListeners(mm) || (vma.flags & VmFlag.LOCKED) !== 0) this.simple = false;
  };

  private readonly moveIn = (vma: Vma): void => {
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
