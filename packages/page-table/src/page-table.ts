// The page tables of one address space: four levels of 512 entries, as on x86-64, in one Int32Array that grows. A table
// has a number; an entry has the number table * 512 + slot. Both numbers stay valid when the array is replaced by a
// larger one. Each table takes a page of the zone allocator, as in a real kernel, and has the address at which its
// range begins, so that a watcher gets the address of each change. Kernel counterparts: include/linux/pgtable.h,
// mm/memory.c (__pte_alloc() and its kin).
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Pte } from "./pte.ts";
import type { TableArenas } from "./table-arenas.ts";
import "./version.ts";

/** Entries of a table. @see PTRS_PER_PTE */
export const ENTRIES = 512;
/** Bytes that an entry of a page middle directory covers: 2 MiB. */
export const PMD_SIZE: number = 2 ** 21;
/** Bytes that an entry of a page upper directory covers: 1 GiB. */
export const PUD_SIZE: number = 2 ** 30;
/** Bytes that an entry of the topmost table covers: 512 GiB. */
export const PGDIR_SIZE: number = 2 ** 39;
/** First address, in bytes, behind those a process may map. @see TASK_SIZE_MAX */
export const TASK_SIZE: number = 2 ** 47 - 4096;

/** Level of a table. An entry at each level covers ENTRY_SIZE bytes. */
export const Level = { pte: 0, pmd: 1, pud: 2, pgd: 3 } as const;
export type Level = (typeof Level)[keyof typeof Level];
/** Bytes that one entry covers, by level. */
export const ENTRY_SIZE: readonly number[] = [4096, PMD_SIZE, PUD_SIZE, PGDIR_SIZE];

/** Returned for an address without an entry: a table above it is missing, or an entry above it maps 2 MiB. */
export const NO_ENTRY = -1;

/**
 * Attempts to allocate a page table, with reclaim after each that failed. The limit is for a victim of the OOM killer:
 * its pages may come from the reserves, page tables may not, and without a limit it would retry for ever.
 */
export const TABLE_TURNS_MAX = 16;

/** Port: the allocator of the pages that tables are kept in. */
export interface TablePages {
  /** Arrays for tables. An address space takes one when it is made and gives it back when it ends. */
  readonly arenas: TableArenas;
  /**
   * Allocates one page for a table.
   *
   * @param level level of the table
   * @returns NULL_PAGE if no page is free, or if the page can't be charged
   */
  alloc(level: Level): Page;
  free(page: Page, level: Level): void;
}

/** Called before each change of an entry that isn't empty. Notifier coverage is checked with it. */
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
/** 32-bit words of a table: two an entry. */
const TABLE_WORDS = ENTRIES * 2;
const TABLE_WORDS_SHIFT = 10;
const FIRST_TABLES = 4;
/** Flags of a directory entry; its value word is the number of the table below it. */
const TABLE_FLAGS = Pte.present | Pte.table;

/** The page tables of one address space. @see struct mm_struct, pgd */
export class PageTable {
  /**
   * Entry e is words[2 e], its value, and words[2 e + 1], its flags. The array is replaced when it grows: a loop must
   * read this field again after each table it adds.
   */
  words: Int32Array;
  private watcher: EntryWatch | undefined = undefined;
  private readonly source: TablePages;
  private used = 0;
  private readonly spare: number[] = [];
  /** Pages of deposited tables: one for each entry that maps 2 MiB of anonymous memory. */
  private readonly deposited: Page[] = [];
  /** Arrays indexed by table: its page, its first address in bytes, its level. */
  private pages: Int32Array = new Int32Array(FIRST_TABLES);
  private bases: Float64Array = new Float64Array(FIRST_TABLES);
  private levels: Int8Array = new Int8Array(FIRST_TABLES);
  /** Number of the 2 MiB region that was looked up last, and its table. Most walks stay in one region. */
  private lastRegion = -1;
  private lastTable = 0;

  /**
   * Makes the page tables of an address space, with the topmost table alone.
   *
   * @param source allocator of the pages that tables are kept in
   * @param root page that the topmost table is kept in
   * @param expected number of tables to reserve words for: at fork, that of the parent
   */
  constructor(source: TablePages, root: Page, expected: number) {
    this.source = source;
    this.words = source.arenas.take(Math.max(expected, FIRST_TABLES) * TABLE_WORDS);
    this.claim(Level.pgd, 0, root);
  }

  /** Pages that the tables take, deposited ones included. @see mm_pgtables_bytes() */
  get tables(): number {
    return this.used - this.spare.length + this.deposited.length;
  }

  /**
   * Adds a watcher, which is called before each change from now on. Watchers added earlier are still called. No code
   * path depends on whether there is one.
   *
   * @param hear the watcher, which must not change entries itself
   */
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

  /**
   * Writes an entry.
   *
   * @param value page, frame or slot
   * @param flags bits of Pte and EntryKind; 0 makes the entry empty
   * @see set_pte_at()
   */
  set(entry: number, value: number, flags: number): void {
    const { words } = this;
    const at = entry << 1;
    if (this.watcher !== undefined && words[at | 1] !== 0) this.tell(entry, value, flags);
    words[at] = value;
    words[at | 1] = flags;
  }

  /** Changes the flags of an entry, and keeps its value. */
  setFlags(entry: number, flags: number): void {
    const { words } = this;
    const at = entry << 1;
    if (this.watcher !== undefined && words[at | 1] !== 0) this.tell(entry, words[at] as number, flags);
    words[at | 1] = flags;
  }

  /** Makes an entry empty. @see pte_clear() */
  clear(entry: number): void {
    this.set(entry, 0, 0);
  }

  /**
   * Finds the entry that maps 4 KiB at an address.
   *
   * @returns the number of the entry, or NO_ENTRY if a table is missing or the region is mapped with 2 MiB
   * @see pte_offset_map()
   */
  find(address: VirtAddr): number {
    // Multiplication and subtraction instead of division and remainder, which are slow for numbers above 2^31.
    const region = (address * REGIONS_PER_BYTE) | 0;
    const slot = ((address - region * PMD_SIZE) | 0) >>> 12;
    if (region === this.lastRegion) return (this.lastTable << TABLE_SHIFT) | slot;
    const pmd = this.findPmd(address);
    if (pmd === NO_ENTRY || (this.flags(pmd) & Pte.table) === 0) return NO_ENTRY;
    this.lastRegion = region;
    this.lastTable = this.value(pmd);
    return (this.lastTable << TABLE_SHIFT) | slot;
  }

  /**
   * Finds the entry of the page middle directory for an address, or NO_ENTRY if there is no such directory.
   *
   * @see pmd_offset()
   */
  findPmd(address: VirtAddr): number {
    const gigabyte = (address * GIGABYTES_PER_BYTE) | 0;
    const pgd = gigabyte >>> TABLE_SHIFT;
    if (this.words[(pgd << 1) | 1] === 0) return NO_ENTRY;
    const pud = ((this.words[pgd << 1] as number) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
    if (this.words[(pud << 1) | 1] === 0) return NO_ENTRY;
    const slot = ((address - gigabyte * PUD_SIZE) | 0) >>> 21;
    return ((this.words[pud << 1] as number) << TABLE_SHIFT) | slot;
  }

  /**
   * Finds the entry that maps 4 KiB at an address, and makes the missing tables above it.
   *
   * @returns the number of the entry, or NO_ENTRY if no page is free for a table or the region is mapped with 2 MiB
   * @see pte_alloc()
   */
  ensure(address: VirtAddr): number {
    const found = this.find(address);
    if (found !== NO_ENTRY) return found;
    const pmd = this.ensurePmd(address);
    if (pmd === NO_ENTRY) return NO_ENTRY;
    if (this.flags(pmd) === 0 && !this.populate(pmd, Level.pte, address - (address % PMD_SIZE)))
      return NO_ENTRY;
    return this.find(address);
  }

  /**
   * Finds the entry of the page middle directory for an address, and makes the missing tables above it.
   *
   * @returns the number of the entry, or NO_ENTRY if no page is free for a table
   * @see pmd_alloc()
   */
  ensurePmd(address: VirtAddr): number {
    const gigabyte = (address * GIGABYTES_PER_BYTE) | 0;
    const pgd = gigabyte >>> TABLE_SHIFT;
    if (this.flags(pgd) === 0 && !this.populate(pgd, Level.pud, pgd * PGDIR_SIZE)) return NO_ENTRY;
    const pud = (this.value(pgd) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
    if (this.flags(pud) === 0 && !this.populate(pud, Level.pmd, gigabyte * PUD_SIZE)) return NO_ENTRY;
    return this.findPmd(address);
  }

  /**
   * Makes a new, empty table below an empty directory entry.
   *
   * @param level level of the new table
   * @param base first address of the new table, in bytes
   * @returns false if no page is free for it
   */
  populate(entry: number, level: Level, base: number): boolean {
    const page = this.source.alloc(level);
    if (page === NULL_PAGE) return false;
    const table = this.claim(level, base, page);
    this.words[entry << 1] = table;
    this.words[(entry << 1) | 1] = TABLE_FLAGS;
    return true;
  }

  /**
   * Frees the table below a directory entry, and makes the entry empty. The table must be empty.
   *
   * @see free_pte_range()
   */
  depopulate(entry: number): void {
    const table = this.value(entry);
    this.words[entry << 1] = 0;
    this.words[(entry << 1) | 1] = 0;
    this.release(table);
  }

  /**
   * Deposits a table for an entry that is about to map 2 MiB, so that splitting that entry later can't fail.
   *
   * @returns false if no page is free for the table
   * @see pgtable_trans_huge_deposit()
   */
  deposit(): boolean {
    const page = this.source.alloc(Level.pte);
    if (page === NULL_PAGE) return false;
    this.deposited.push(page);
    return true;
  }

  /** Deposits the empty table below a directory entry, and makes the entry empty. */
  depositTable(entry: number): void {
    const table = this.value(entry);
    this.words[entry << 1] = 0;
    this.words[(entry << 1) | 1] = 0;
    this.deposited.push(this.pages[table] as Page);
    this.forget(table);
  }

  /** Frees one deposited table. @see zap_deposited_table() */
  freeDeposited(): void {
    this.source.free(this.withdraw(), Level.pte);
  }

  /**
   * Withdraws a deposited table and puts it below a directory entry. The entry is empty, or maps 2 MiB that the caller
   * maps with 4 KiB entries next.
   *
   * @throws KernelBug if no table is deposited
   * @see pgtable_trans_huge_withdraw()
   */
  populateDeposited(entry: number): void {
    const base = this.addressOf(entry);
    const table = this.claim(Level.pte, base, this.withdraw());
    this.words[entry << 1] = table;
    this.words[(entry << 1) | 1] = TABLE_FLAGS;
  }

  /**
   * Frees the topmost table. All others must be freed before.
   *
   * @throws KernelBug if another table is left
   * @see pgd_free()
   */
  destroy(): void {
    if (this.tables !== 1)
      throw new KernelBug(`${this.tables - 1} page tables are left at the end of an address space`);
    this.release(0);
    this.source.arenas.give(this.words);
  }

  /**
   * Finds the first address in [address, end) whose entry of the page middle directory isn't empty.
   *
   * @returns `address` itself, or the start of a 2 MiB region after it, or `end` if all entries between are empty
   */
  nextPopulated(address: VirtAddr, end: VirtAddr): VirtAddr {
    const { words } = this;
    // Integers only: gigabytes, and 2 MiB within one. An address divides and multiplies slowly.
    let gigabyte = (address * GIGABYTES_PER_BYTE) | 0;
    let slot = ((address - gigabyte * PUD_SIZE) | 0) >>> 21;
    const last = Math.ceil(end * GIGABYTES_PER_BYTE) | 0;
    while (gigabyte < last) {
      const pgd = gigabyte >>> TABLE_SHIFT;
      if (this.flags(pgd) === 0) {
        gigabyte = (pgd + 1) << TABLE_SHIFT;
      } else {
        const pud = (this.value(pgd) << TABLE_SHIFT) | (gigabyte & SLOT_MASK);
        if (this.flags(pud) !== 0) {
          const table = this.value(pud) << TABLE_SHIFT;
          while (slot < ENTRIES && words[((table | slot) << 1) | 1] === 0) slot++;
          if (slot < ENTRIES) return this.within(gigabyte, slot, address, end);
        }
        gigabyte++;
      }
      slot = 0;
    }
    return end;
  }

  /** The start of 2 MiB of a gigabyte, but no less than `address` and no more than `end`. */
  private within(gigabyte: number, slot: number, address: VirtAddr, end: VirtAddr): VirtAddr {
    const start = gigabyte * PUD_SIZE + slot * PMD_SIZE;
    return Math.min(Math.max(start, address), end) as VirtAddr;
  }

  /** The number of the first entry of the table below a directory entry, or NO_ENTRY if there is no table. */
  tableUnder(entry: number): number {
    return (this.flags(entry) & Pte.table) === 0 ? NO_ENTRY : this.value(entry) << TABLE_SHIFT;
  }

  /** Whether all entries of a table are empty. @param firstEntry number of the table's first entry */
  isEmpty(firstEntry: number): boolean {
    const { words } = this;
    for (let at = (firstEntry << 1) | 1, end = at + TABLE_WORDS; at < end; at += 2)
      if (words[at] !== 0) return false;
    return true;
  }

  /** The page that a table is kept in. @param firstEntry number of the table's first entry */
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
    if (page === undefined) throw new KernelBug("an entry maps 2 MiB and no table was deposited for it");
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
