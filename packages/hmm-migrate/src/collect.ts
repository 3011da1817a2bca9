// The first step: walks the page table of the range and isolates the pages to migrate. Each entry is replaced by a
// migration entry at once, so that a page mapped by one entry needs no rmap walk, neither here nor in finalize.
// Nearly every page is small, anonymous, exclusively mapped and without extra references: such pages are handled in a
// plain loop over a page table. Kernel counterpart: migrate_vma_collect() and migrate_vma_collect_pmd() in
// mm/migrate_device.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { NOT_AT_ONCE } from "@hetmem/migrate";
import {
  addNodeStats,
  type MmWalk,
  type SleepingWalkOps,
  trylockPage,
  unlockPage,
  type Vm,
  type Vma,
  VmFlag,
  WalkAction,
  walkPageRangeSleeping,
} from "@hetmem/mm";
import { splitHugePage } from "@hetmem/mm/huge";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import {
  CARRIED_BITS,
  EntryKind,
  isDevicePrivate,
  KIND_MASK,
  type PageTable,
  Pte,
  specialPfn,
} from "@hetmem/page-table";
import { NodeStat } from "@hetmem/zone";
import { collectPage, migrationKind } from "./collect-page.ts";
import { DeviceKind, DeviceKinds } from "./device-kinds.ts";
import { ANY_OWNER, Found, MigratePfn, MigrateVmaSelect, skipBits } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import type { MigrateVma } from "./migrate-vma.ts";
import { tellSkip } from "./page-set.ts";

const PRESENT_SMALL_PAGE_MASK = Pte.present | Pte.special | Pte.devmap;
/** Flags set, and flags cleared, on a page that is isolated for migration. */
const SET_ON_ISOLATE = PageFlag.locked | PageFlag.isolated;
const CLEARED_ON_ISOLATE = PageFlag.lru | PageFlag.anonExclusive;
const MIGRATE_VALID_LOCKED = MigratePfn.valid | MigratePfn.migrate | MigratePfn.locked;
const MIGRATE_HOLE = MigratePfn.migrate;
const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
/** Scratch lists of the pages collected from one page table. In use only during pteRange(), which is atomic. */
const RAM_PAGES = new Int32Array(512);
const DEVICE_PAGES = new Int32Array(512);

/** Fills the source array. The mmap lock is held for reading. */
export function* collect(args: MigrateVma): Sleeps<void> {
  const { vma, start, end, pgmapOwner } = args;
  const { mm } = vma;
  // Mirrors of the same owner may keep their mappings of the device's own pages.
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Migrate, owner: pgmapOwner };
  yield* invalidateRangeStart(range);
  yield* walkPageRangeSleeping(mm, start, end, new Collector(args));
  yield* invalidateRangeEnd(range);
  args.npages = (end - start) / 4096;
}

export class Collector implements SleepingWalkOps {
  readonly args: MigrateVma;
  readonly vma: Vma;
  readonly vm: Vm;
  readonly kinds: DeviceKinds;
  private readonly memmap: MemMap;
  private readonly pageTable: PageTable;
  private readonly src: Int32Array;
  /** Whether system RAM is selected, and whether the mapping is anonymous, so that holes are filled. */
  private readonly system: boolean;
  private readonly anonymous: boolean;
  /** Whether pages are collected in batches. Pages of a VM_LOCKED mapping are munlocked one by one. */
  private readonly simple: boolean;
  /** Number of the selected pagemap of private pages, and the refcount of such a page with a single mapping. */
  private selectedPagemap = 0;
  private singleMapRefs = 0;

  constructor(args: MigrateVma) {
    const { vma } = args;
    this.args = args;
    this.vma = vma;
    this.vm = vma.mm.vm;
    this.memmap = this.vm.memmap;
    this.pageTable = vma.mm.pageTable;
    this.src = args.src;
    this.kinds = new DeviceKinds(this.vm);
    this.system = (args.flags & MigrateVmaSelect.system) !== 0;
    this.anonymous = vma.anonymous;
    this.simple = (vma.flags & VmFlag.LOCKED) === 0;
  }

  pteHole(address: VirtAddr, next: VirtAddr): number {
    for (let at = this.wordOf(address); at < this.wordOf(next); at += 2) this.hole(at);
    return 0;
  }

  /** Splits a huge page: only small pages migrate. */
  *pmdEntry(pmd: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): Sleeps<number> {
    const { memmap, pageTable, vm } = this;
    const flags = pageTable.flags(pmd);
    if ((flags & Pte.table) !== 0) return 0;
    walk.action = WalkAction.continue;
    const head = pageTable.value(pmd) as Page;
    if ((flags & (Pte.huge | Pte.present)) !== (Pte.huge | Pte.present) || !this.movesHuge(flags, head))
      return this.skipAll(address, next);
    memmap.getPage(head);
    const divided = trylockPage(memmap, head);
    const split = divided && (yield* splitHugePage(vm, head));
    if (divided) unlockPage(memmap, head);
    memmap.putPage(head);
    if (!split) return this.skipAll(address, next);
    if (pageTable.flags(pmd) === 0) return this.pteHole(address, next);
    walk.action = WalkAction.subtree;
    return 0;
  }

  pteRange(first: number, address: VirtAddr, next: VirtAddr): number {
    const { pageTable, memmap, system, simple, anonymous, src } = this;
    const { faultPage } = this.args;
    const { moves } = memmap;
    const { words } = pageTable;
    const last = (first + (next - address) / 4096) | 0;
    let ram = 0;
    let devices = 0;
    let holes = 0;
    for (let entry = first | 0, at = this.wordOf(address); entry < last; entry++, at += 2) {
      const page = words[entry << 1] as Page;
      const flags = words[(entry << 1) | 1] as number;
      if (flags === 0 && anonymous) {
        src[at | 1] = MIGRATE_HOLE;
        holes++;
        continue;
      }
      // The page's flags before the change; 0 when the fast path doesn't apply.
      let state = 0;
      let kept = 0;
      let writes = false;
      if ((flags & PRESENT_SMALL_PAGE_MASK) === Pte.present) {
        const bits = (flags & Pte.dirty) !== 0 ? SET_ON_ISOLATE | PageFlag.dirty : SET_ON_ISOLATE;
        if (system && simple)
          state = moves.take(page, NOT_AT_ONCE, PageFlag.lru, 1, CLEARED_ON_ISOLATE, bits);
        if (state !== 0) RAM_PAGES[ram++] = page;
        kept = flags & CARRIED_BITS;
        writes = (flags & Pte.write) !== 0;
      } else if (simple && isDevicePrivate(flags)) {
        const selected = memmap.pagemap(page) === this.selectedPagemap || this.isSelectedPrivate(page);
        const references = page === faultPage ? this.singleMapRefs + 1 : this.singleMapRefs;
        if (selected)
          state = moves.take(page, NOT_AT_ONCE, 0, references, CLEARED_ON_ISOLATE, PageFlag.locked);
        if (state !== 0) DEVICE_PAGES[devices++] = page;
        kept = flags & Pte.softDirty;
        writes = (flags & KIND_MASK) === EntryKind.devicePrivateWrite;
      }
      if (state === 0) {
        this.other(entry, page, flags, at);
        continue;
      }
      const kind = migrationKind(writes, (state & PageFlag.anonExclusive) !== 0);
      pageTable.setFlags(entry, kind | kept);
      src[at] = page;
      src[at | 1] = writes
        ? MIGRATE_VALID_LOCKED | Found.exclusivelyMapped | MigratePfn.write
        : MIGRATE_VALID_LOCKED | Found.exclusivelyMapped;
    }
    this.args.cpages += holes;
    this.found(ram, devices);
    return 0;
  }

  /** Marks a hole of anonymous memory, which is filled without a copy. @see migrate_vma_collect_hole() */
  hole(at: number): void {
    if (!this.anonymous) return this.skip(at, MigrateSkip.hole);
    this.src[at | 1] = MIGRATE_HOLE;
    this.args.cpages++;
  }

  skip(at: number, reason: MigrateSkip, page: Page = NULL_PAGE as Page): void {
    this.src[at | 1] = skipBits(reason);
    tellSkip(this.vm, at >> 1, page, reason);
  }

  /** Records a collected page: locked, referenced, and isolated from its LRU list. */
  taken(at: number, page: Page, flags: number): void {
    this.src[at] = page;
    this.src[at | 1] = MIGRATE_VALID_LOCKED | flags;
    this.args.cpages++;
  }

  /** Updates counters for the collected pages, and LRU lists for those of RAM, in one batch. */
  private found(ram: number, devices: number): void {
    const { vm } = this;
    vm.lru.isolateMarked(RAM_PAGES, ram);
    addNodeStats(vm, RAM_PAGES, ram, NR_ANON_MAPPED, -1);
    addNodeStats(vm, DEVICE_PAGES, devices, NR_ANON_MAPPED, -1);
    this.args.cpages += ram + devices;
  }

  /**
   * Whether a private page is selected. Caches the pagemap, since the following pages mostly belong to the same one.
   */
  private isSelectedPrivate(page: Page): boolean {
    const { kinds } = this;
    if (kinds.of(page) !== DeviceKind.private || this.refusal(DeviceKind.private) !== 0) return false;
    this.selectedPagemap = this.memmap.pagemap(page);
    this.singleMapRefs = 1 + kinds.idleCount;
    return true;
  }

  /** The reason why device memory of this kind and of the owner in `kinds` isn't selected; 0 when it is. */
  refusal(kind: DeviceKind): MigrateSkip {
    const { flags, pgmapOwner } = this.args;
    if (kind === DeviceKind.fixed) return MigrateSkip.special;
    const wanted =
      kind === DeviceKind.private ? MigrateVmaSelect.devicePrivate : MigrateVmaSelect.deviceCoherent;
    if ((flags & wanted) === 0) return MigrateSkip.deviceNotSelected;
    return pgmapOwner === ANY_OWNER || pgmapOwner === this.kinds.owner
      ? MigrateSkip.none
      : MigrateSkip.otherOwner;
  }

  /** Handles entries outside of the fast path. */
  private other(entry: number, page: Page, flags: number, at: number): void {
    if (flags === 0) return this.skip(at, MigrateSkip.hole);
    if ((flags & Pte.present) === 0) {
      if (!isDevicePrivate(flags)) return this.skip(at, MigrateSkip.notPresent);
    } else if ((flags & Pte.special) !== 0) {
      const isZero = specialPfn(page, flags) === this.vm.zeroPfn;
      if (!isZero) return this.skip(at, MigrateSkip.special);
      return this.system ? this.hole(at) : this.skip(at, MigrateSkip.systemNotSelected);
    } else if ((flags & Pte.devmap) !== 0) {
      return this.skip(at, MigrateSkip.special);
    }
    const kind = this.kinds.of(page);
    if (kind === DeviceKind.none) {
      if (!this.system) return this.skip(at, MigrateSkip.systemNotSelected, page);
    } else {
      const refusal = this.refusal(kind);
      if (refusal !== MigrateSkip.none) return this.skip(at, refusal, page);
    }
    collectPage(this, entry, page, at);
  }

  private movesHuge(flags: number, head: Page): boolean {
    return this.system && (flags & (Pte.special | Pte.devmap)) === 0 && this.memmap.test(head, PageFlag.head);
  }

  private skipAll(address: VirtAddr, next: VirtAddr): number {
    for (let at = this.wordOf(address); at < this.wordOf(next); at += 2) this.skip(at, MigrateSkip.huge);
    return 0;
  }

  /** Index of the first word of an address's source entry. */
  private wordOf(address: VirtAddr): number {
    return (((address - this.args.start) / 4096) << 1) | 0;
  }
}
