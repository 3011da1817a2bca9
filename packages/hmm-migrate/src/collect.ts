// The first step: walks the page table of the range and takes each page that is to move away from the process. Its entry
// becomes a migration entry on the spot, so that a page which is mapped once needs no search for its entries, neither now
// nor at the end. Nearly every page is small, anonymous, mapped once and held by nobody: those are taken in a plain loop
// over a whole page table. Kernel counterpart: migrate_vma_collect() and migrate_vma_collect_pmd() in mm/migrate_device.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import {
  addNodeStats,
  CARRIED_BITS,
  EntryKind,
  invalidateRangeEnd,
  invalidateRangeStart,
  isDevicePrivate,
  KIND_MASK,
  MmuNotifyEvent,
  type MmuNotifierRange,
  type MmWalk,
  NOT_AT_ONCE,
  type PageTable,
  Pte,
  type SleepingWalkOps,
  specialPfn,
  splitHugePage,
  trylockPage,
  unlockPage,
  type Vm,
  type Vma,
  VmFlag,
  WalkAction,
  walkPageRangeSleeping,
} from "@hetmem/mm";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { NodeStat } from "@hetmem/zone";
import { collectPage, migrationKind } from "./collect-page.ts";
import { DeviceKind, DeviceKinds } from "./device-kinds.ts";
import { ANY_OWNER, Found, MigratePfn, MigrateVmaSelect, skipBits } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import type { MigrateVma } from "./migrate-vma.ts";
import { tellSkip } from "./page-set.ts";

const PLAIN = Pte.present | Pte.special | Pte.devmap;
/** What a page gets, and what it loses, that is taken off its list, and may be somebody else's at the end. */
const ISOLATED = PageFlag.locked | PageFlag.isolated;
const SHED = PageFlag.lru | PageFlag.anonExclusive;
const TAKEN = MigratePfn.valid | MigratePfn.migrate | MigratePfn.locked;
const HOLE = MigratePfn.migrate;
const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
/** Pages of one table that were found. Empty whenever nobody is at it: pteRange() is atomic. */
const RAM = new Int32Array(512);
const DEVICES = new Int32Array(512);

/** Fills the source array. The mmap lock is held for reading. */
export function* collect(args: MigrateVma): Sleeps<void> {
  const { vma, start, end, pgmapOwner } = args;
  const { mm } = vma;
  // Who mirrors the range and is asked for by this owner need not let go of what the device itself has.
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
  /** Whether RAM is to move, and whether holes are filled. */
  private readonly system: boolean;
  private readonly anonymous: boolean;
  /** Whether pages can be taken many at a time. Those of a locked mapping are unlocked one by one. */
  private readonly simple: boolean;
  /** The number of a pagemap whose private pages are to move, and the references of one that a single entry maps. */
  private ourPagemap = 0;
  private held = 0;

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

  /** A huge page is divided first: nothing larger than a small page moves. */
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
        src[at | 1] = HOLE;
        holes++;
        continue;
      }
      // The flags that the page had: 0 for one that takes a closer look.
      let state = 0;
      let kept = 0;
      let writes = false;
      if ((flags & PLAIN) === Pte.present) {
        const bits = (flags & Pte.dirty) !== 0 ? ISOLATED | PageFlag.dirty : ISOLATED;
        if (system && simple) state = moves.take(page, NOT_AT_ONCE, PageFlag.lru, 1, SHED, bits);
        if (state !== 0) RAM[ram++] = page;
        kept = flags & CARRIED_BITS;
        writes = (flags & Pte.write) !== 0;
      } else if (simple && isDevicePrivate(flags)) {
        const ours = memmap.pagemap(page) === this.ourPagemap || this.isOurs(page);
        const held = page === faultPage ? this.held + 1 : this.held;
        if (ours) state = moves.take(page, NOT_AT_ONCE, 0, held, SHED, PageFlag.locked);
        if (state !== 0) DEVICES[devices++] = page;
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
      src[at | 1] = writes ? TAKEN | Found.alone | MigratePfn.write : TAKEN | Found.alone;
    }
    this.args.cpages += holes;
    this.found(ram, devices);
    return 0;
  }

  /** Anonymous memory that nothing was written to is filled without a copy. @see migrate_vma_collect_hole() */
  hole(at: number): void {
    if (!this.anonymous) return this.skip(at, MigrateSkip.hole);
    this.src[at | 1] = HOLE;
    this.args.cpages++;
  }

  skip(at: number, reason: MigrateSkip, page: Page = NULL_PAGE as Page): void {
    this.src[at | 1] = skipBits(reason);
    tellSkip(this.vm, at >> 1, page, reason);
  }

  /** The page is the migration's: locked, referenced, and off its list if it was on one. */
  taken(at: number, page: Page, flags: number): void {
    this.src[at] = page;
    this.src[at | 1] = TAKEN | flags;
    this.args.cpages++;
  }

  /** What is counted for the pages that were found, and for those of RAM, their lists: for many at a time. */
  private found(ram: number, devices: number): void {
    const { vm } = this;
    vm.lru.isolateMarked(RAM, ram);
    addNodeStats(vm, RAM, ram, NR_ANON_MAPPED, -1);
    addNodeStats(vm, DEVICES, devices, NR_ANON_MAPPED, -1);
    this.args.cpages += ram + devices;
  }

  /** Whether a private page is one that is to move: pages that follow it mostly are of the same pagemap. */
  private isOurs(page: Page): boolean {
    const { kinds } = this;
    if (kinds.of(page) !== DeviceKind.private || this.refusal(DeviceKind.private) !== 0) return false;
    this.ourPagemap = this.memmap.pagemap(page);
    this.held = 1 + kinds.idleCount;
    return true;
  }

  /** Why device memory of this kind, of the owner that was just looked at, is not to move; 0 when it is. */
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

  /** Whatever else an entry may hold. */
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

  /** Where the entry of an address begins in the source array. */
  private wordOf(address: VirtAddr): number {
    return (((address - this.args.start) / 4096) << 1) | 0;
  }
}
