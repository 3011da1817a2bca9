// The page tables of one address space: four levels of 512 entries in one Int32Array that grows. A table is a number, an
// entry is table * 512 + slot, and both keep their numbers when the array moves. Each table costs a page of the zone
// allocator, as in a real machine, and knows the address that it begins at, so that a change can be told with its
// address. Kernel counterparts: include/linux/pgtable.h, mm/memory.c (__pte_alloc and its kin).
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Pte } from "./pte.ts";
import type { TableArenas } from "./table-arenas.ts";

export const ENTRIES = 512;
export const PMD_SIZE: number = 2 ** 21;
export const PUD_SIZE: number = 2 ** 30;
export const PGDIR_SIZE: number = 2 ** 39;
/** Addresses of a process end here. @see TASK_SIZE_MAX */
export const TASK_SIZE: number = 2 ** 47 - 4096;

/** Level of a table: what its entries map at least. */
export const Level = { pte: 0, pmd: 1, pud: 2, pgd: 3 } as const;
export type Level = (typeof Level)[keyof typeof Level];
/** Bytes that an entry of each level covers. */
export const ENTRY_SIZE: readonly number[] = [4096, PMD_SIZE, PUD_SIZE, PGDIR_SIZE];

/** There is no such entry: a table is missing on the way, or a larger page is mapped. */
export const NO_ENTRY = -1;

/**
 * Turns in which tables are made with reclaim between them, until memory counts as missing: a process that the OOM killer has
 * chosen gets pages from reserves that tables are not made of.
 */
export const TABLE_TURNS_MAX = 16;

/** Port: where the pages come from that tables are kept in. */
export interface TablePages {
  /** Arrays for tables to live in; what one address space leaves, the next one takes. */
  readonly arenas: TableArenas;
  /** NULL_PAGE when there is none, or when it can't be charged. */
  alloc(level: Level): Page;
  free(page: Page, level: Level): void;
}

/** Hears of every change of an entry that held something: what notifier coverage is checked with. */
export type EntryWatch = (
  address: VirtAddr,
  level: Level,
  oldValue: number,
  oldFlags: number,
  value: number,
  flags: number,
) => void;

const REGIONS_PER_BYTE = 2 ** -21;
const GIGABYTES_PER_BYTE = 2 ** -30;
const TABLE_SHIFT = 9;
const SLOT_MASK = ENTRIES - 1;
/** Words of a table: two an entry. */
const TABLE_WORDS = ENTRIES * 2;
const TABLE_WORDS_SHIFT = 10;
const FIRST_TABLES = 8;
/** What the value word of a directory entry points to, and its flags. */
const TABLE_FLAGS = Pte.present | Pte.table;

export class PageTable {
  /** Entry e is words[2 e] and words[2 e + 1]. Replaced when it grows: hot loops take it anew after each table they add. */
  words: Int32Array;
  private watcher: EntryWatch | undefined = undefined;
  private readonly source: TablePages;
  private used = 0;
  private readonly spare: number[] = [];
  /** Pages of tables that are put by, one for each entry that maps 2 MiB of anonymous memory. */
  private readonly deposited: Page[] = [];
  /** By table. */
  private pages: Int32Array = new Int32Array(FIRST_TABLES);
  private bases: Float64Array = new Float64Array(FIRST_TABLES);
  private levels: Int8Array = new Int8Array(FIRST_TABLES);
  /** The last 2 MiB that was looked up, and its table: walks mostly stay in it. */
  private lastRegion = -1;
  private lastTable = 0;

  /**
   * An address space has its topmost table from the start.
   *
   * @param root the page that it is kept in
   * @param expected tables that it will have soon: those of the parent
   */
  constructor(source: TablePages, root: Page, expected: number) {
    this.source = source;
    this.words = source.arenas.take(Math.max(expected, FIRST_TABLES) * TABLE_WORDS);
    this.claim(Level.pgd, 0, root);
  }

  /** Pages that the tables take. @see mm_pgtables_bytes() */
  get tables(): number {
    return this.used - this.spare.length + this.deposited.length;
  }

  /** Tells of changes from now on; whoever watched before goes on. Nothing else depends on whether anybody does. */
  watch(hear: EntryWatch): void {
    const before = this.watcher;
    this.watcher =
      before === undefined
        ? hear
        : (...change) => {
            before(...change);
            hear(...change);
          };
  }

  value(entry: number): number {
    return this.words[entry << 1] as number;
  }

  flags(entry: number): number {
    return this.words[(entry << 1) | 1] as number;
  }

  /** Writes an entry. @see set_pte_at() */
  set(entry: number, value: number, flags: number): void {
    const { words } = this;
    const at = entry << 1;
    if (this.watcher !== undefined && words[at | 1] !== 0) this.tell(entry, value, flags);
    words[at] = value;
    words[at | 1] = flags;
  }

  /** Changes the flags of an entry alone. */
  setFlags(entry: number, flags: number): void {
    const { words } = this;
    const at = entry << 1;
    if (this.watcher !== undefined && words[at | 1] !== 0) this.tell(entry, words[at] as number, flags);
    words[at | 1] = flags;
  }

  /** @see pte_clear() */
  clear(entry: number): void {
    this.set(entry, 0, 0);
  }

  /** The entry that maps an address with 4 KiB, or NO_ENTRY where no table reaches it or 2 MiB are mapped. @see pte_offset_map() */
  find(address: VirtAddr): number {
    // Multiplied rather than divided, and no remainder: those are slow on numbers past 2^31.
    const region = (address * REGIONS_PER_BYTE) | 0;
    const slot = ((address - region * PMD_SIZE) | 0) >>> 12;
    if (region === this.lastRegion) return (this.lastTable << TABLE_SHIFT) | slot;
    const pmd = this.findPmd(address);
    if (pmd === NO_ENTRY || (this.flags(pmd) & Pte.table) === 0) return NO_ENTRY;
    this.lastRegion = region;
    this.lastTable = this.value(pmd);
    return (this.lastTable << TABLE_SHIFT) | slot;
  }

  /** The entry of the page middle directory for an address, or NO_ENTRY. @see pmd_offset() */
  findPmd(address: VirtAddr): number {
    const gigabyte = (address * GIGABYTES_PER_BYTE) | 0;
    const pgd = gigabyte >>> TABLE_SHIFT;
    if (this.words[(pgd << 1) | 1] === 0) return NO_ENTRY;
    const pud = ((this.words[pgd << 1] as number) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
    if (this.words[(pud << 1) | 1] === 0) return NO_ENTRY;
    const slot = ((address - gigabyte * PUD_SIZE) | 0) >>> 21;
    return ((this.words[pud << 1] as number) << TABLE_SHIFT) | slot;
  }

  /** The entry for an address, with all tables on the way; NO_ENTRY when memory for one is missing, or 2 MiB are mapped. @see pte_alloc() */
  ensure(address: VirtAddr): number {
    const found = this.find(address);
    if (found !== NO_ENTRY) return found;
    const pmd = this.ensurePmd(address);
    if (pmd === NO_ENTRY) return NO_ENTRY;
    if (this.flags(pmd) === 0 && !this.populate(pmd, Level.pte, address - (address % PMD_SIZE)))
      return NO_ENTRY;
    return this.find(address);
  }

  /** @see pmd_alloc() */
  ensurePmd(address: VirtAddr): number {
    const gigabyte = (address * GIGABYTES_PER_BYTE) | 0;
    const pgd = gigabyte >>> TABLE_SHIFT;
    if (this.flags(pgd) === 0 && !this.populate(pgd, Level.pud, pgd * PGDIR_SIZE)) return NO_ENTRY;
    const pud = (this.value(pgd) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
    if (this.flags(pud) === 0 && !this.populate(pud, Level.pmd, gigabyte * PUD_SIZE)) return NO_ENTRY;
    return this.findPmd(address);
  }

  /** Hangs a new, empty table under an empty directory entry. @returns false when there is no memory for it */
  populate(entry: number, level: Level, base: number): boolean {
    const page = this.source.alloc(level);
    if (page === NULL_PAGE) return false;
    const table = this.claim(level, base, page);
    this.words[entry << 1] = table;
    this.words[(entry << 1) | 1] = TABLE_FLAGS;
    return true;
  }

  /** Takes the table from under a directory entry and frees it; it must be empty. @see free_pte_range() */
  depopulate(entry: number): void {
    const table = this.value(entry);
    this.words[entry << 1] = 0;
    this.words[(entry << 1) | 1] = 0;
    this.release(table);
  }

  /**
   * Puts a table by for an entry that is going to map 2 MiB: when that is divided there must be one.
   *
   * @returns false when there is no memory for it
   * @see pgtable_trans_huge_deposit()
   */
  deposit(): boolean {
    const page = this.source.alloc(Level.pte);
    if (page === NULL_PAGE) return false;
    this.deposited.push(page);
    return true;
  }

  /** Puts the empty table under a directory entry by, and empties the entry. */
  depositTable(entry: number): void {
    const table = this.value(entry);
    this.words[entry << 1] = 0;
    this.words[(entry << 1) | 1] = 0;
    this.deposited.push(this.pages[table] as Page);
    this.forget(table);
  }

  /** Frees a table that was put by. @see zap_deposited_table() */
  freeDeposited(): void {
    this.source.free(this.withdraw(), Level.pte);
  }

  /** Hangs a table that was put by under a directory entry, which holds nothing, or maps 2 MiB that the caller maps in parts now. @see pgtable_trans_huge_withdraw() */
  populateDeposited(entry: number): void {
    const base = this.addressOf(entry);
    const table = this.claim(Level.pte, base, this.withdraw());
    this.words[entry << 1] = table;
    this.words[(entry << 1) | 1] = TABLE_FLAGS;
  }

  /** Frees the topmost table, after all others. @see pgd_free() */
  destroy(): void {
    if (this.tables !== 1)
      throw new KernelBug(`${this.tables - 1} page tables are left at the end of an address space`);
    this.release(0);
    this.source.arenas.give(this.words);
  }

  /** The first address from `address` on, on a region of 2 MiB or itself, that a middle directory has something for; `end` when there is none before. */
  nextPopulated(address: VirtAddr, end: VirtAddr): VirtAddr {
    for (let at = address; at < end;) {
      const gigabyte = (at * GIGABYTES_PER_BYTE) | 0;
      const pgd = gigabyte >>> TABLE_SHIFT;
      if (this.flags(pgd) === 0) {
        at = ((pgd + 1) * PGDIR_SIZE) as VirtAddr;
        continue;
      }
      const pud = (this.value(pgd) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
      if (this.flags(pud) === 0) {
        at = ((gigabyte + 1) * PUD_SIZE) as VirtAddr;
        continue;
      }
      const slot = ((at - gigabyte * PUD_SIZE) | 0) >>> 21;
      if (this.flags((this.value(pud) << TABLE_SHIFT) | slot) !== 0) return at;
      at = (gigabyte * PUD_SIZE + (slot + 1) * PMD_SIZE) as VirtAddr;
    }
    return end;
  }

  /** The table under a directory entry, by the number of its first entry; NO_ENTRY where there is none. */
  tableUnder(entry: number): number {
    return (this.flags(entry) & Pte.table) === 0 ? NO_ENTRY : this.value(entry) << TABLE_SHIFT;
  }

  /** Whether every entry of a table is empty. */
  isEmpty(firstEntry: number): boolean {
    const { words } = this;
    for (let at = (firstEntry << 1) | 1, end = at + TABLE_WORDS; at < end; at += 2)
      if (words[at] !== 0) return false;
    return true;
  }

  /** The page that a table is kept in. */
  pageOfTable(firstEntry: number): Page {
    return this.pages[firstEntry >>> TABLE_SHIFT] as Page;
  }

  /** First address that an entry covers. */
  addressOf(entry: number): VirtAddr {
    const table = entry >>> TABLE_SHIFT;
    const size = ENTRY_SIZE[this.levels[table] as number] as number;
    return ((this.bases[table] as number) + (entry & SLOT_MASK) * size) as VirtAddr;
  }

  levelOf(entry: number): Level {
    return this.levels[entry >>> TABLE_SHIFT] as Level;
  }

  private claim(level: Level, base: number, page: Page): number {
    const table = this.spare.pop() ?? this.used++;
    if (table << TABLE_WORDS_SHIFT >= this.words.length) this.growWords();
    if (table >= this.pages.length) this.growTables();
    this.pages[table] = page;
    this.bases[table] = base;
    this.levels[table] = level;
    return table;
  }

  private release(table: number): void {
    this.forget(table);
    this.source.free(this.pages[table] as Page, this.levels[table] as Level);
  }

  private forget(table: number): void {
    if (table === this.lastTable) this.lastRegion = -1;
    this.words.fill(0, table << TABLE_WORDS_SHIFT, (table + 1) << TABLE_WORDS_SHIFT);
    this.spare.push(table);
  }

  private withdraw(): Page {
    const page = this.deposited.pop();
    if (page === undefined) throw new KernelBug("an entry maps 2 MiB and no table was put by for it");
    return page;
  }

  private growWords(): void {
    const { arenas } = this.source;
    const old = this.words;
    this.words = arenas.take(old.length * 2);
    this.words.set(old);
    arenas.give(old.fill(0));
  }

  private growTables(): void {
    const tables = this.pages.length * 2;
    this.pages = copied(this.pages, new Int32Array(tables));
    this.bases = copied(this.bases, new Float64Array(tables));
    this.levels = copied(this.levels, new Int8Array(tables));
  }

  private tell(entry: number, value: number, flags: number): void {
    const at = entry << 1;
    const { words } = this;
    this.watcher?.(
      this.addressOf(entry),
      this.levelOf(entry),
      words[at] as number,
      words[at | 1] as number,
      value,
      flags,
    );
  }
}

function copied<T extends Int32Array | Float64Array | Int8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
