// The device's page table for one address space: page and access by address. Two levels: tables of 512 entries per 2
// MiB region, two words per entry. Entries hold no page references: an entry is filled from the cpu's page table and
// removed by the next invalidation. Device writes don't set the cpu entry's dirty bit, so a page is marked dirty when
// a dirty device entry of it is removed. Kernel counterpart: the `pt` xarray of struct dmirror in lib/test_hmm.c, a
// real device's GPU page tables; ib_umem_odp_unmap_dma_pages() for the dirty pages.
import { type Page, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";

/** Bits of an entry's flags word. An entry without `read` is empty. */
export const DevicePte = {
  read: 1 << 0,
  write: 1 << 1,
  /** Device-exclusive access, for atomic operations. @see DPT_XA_TAG_ATOMIC */
  atomic: 1 << 2,
  /** The page is in this device's memory. */
  local: 1 << 3,
  /** The device has written through the entry. */
  dirty: 1 << 4,
} as const;

/** An entry as listed by entries(). */
export interface DeviceEntry {
  readonly address: VirtAddr;
  readonly page: Page;
  readonly flags: number;
}

const REGION = 2 ** 21;
const ENTRIES = 512;
const NO_REGION = -1;

export class DevicePageTable {
  private readonly tables: Map<number, Int32Array> = new Map();
  private readonly written: (page: Page) => void;
  /** Cache of the last looked-up region. */
  private lastRegion = NO_REGION;
  private lastTable: Int32Array = new Int32Array(0);

  /**
   * @param written called with the page of a dirty entry when the entry is removed; the process still maps the page
   * then
   */
  constructor(written: (page: Page) => void) {
    this.written = written;
  }

  /** DevicePte bits of the entry for an address; 0 for none. */
  flags(address: VirtAddr): number {
    const table = this.find(regionOf(address));
    return table === undefined ? 0 : (table[(slotOf(address) << 1) | 1] as number);
  }

  /** The page of the entry for an address; NULL_PAGE for none. */
  page(address: VirtAddr): Page {
    const table = this.find(regionOf(address));
    return (table === undefined ? NULL_PAGE : table[slotOf(address) << 1]) as Page;
  }

  /** Sets an entry, replacing an existing one. */
  set(address: VirtAddr, page: Page, flags: number): void {
    const region = regionOf(address);
    let table = this.find(region);
    if (table === undefined) {
      table = new Int32Array(ENTRIES * 2);
      this.tables.set(region, table);
      this.lastRegion = region;
      this.lastTable = table;
    }
    const at = slotOf(address) << 1;
    this.tell(table, at, at + 2);
    table[at] = page;
    table[at | 1] = flags;
  }

  /** Marks the entry of an address dirty. */
  markDirty(address: VirtAddr): void {
    const table = this.find(regionOf(address));
    const at = (slotOf(address) << 1) | 1;
    if (table !== undefined) table[at] = (table[at] as number) | DevicePte.dirty;
  }

  /**
   * Removes the entries in [start, end). The cost is bounded by the size of the table, so the range may be the whole
   * address space.
   */
  clear(start: VirtAddr, end: VirtAddr): void {
    const first = regionOf(start);
    const last = regionOf((end - 1) as VirtAddr);
    if (last - first < this.tables.size) {
      for (let region = first; region <= last; region++) this.clearIn(region, start, end);
      return;
    }
    for (const region of this.tables.keys())
      if (region >= first && region <= last) this.clearIn(region, start, end);
  }

  /** Removes all entries of a page. Scans the whole table; for rare events. */
  clearPage(page: Page): void {
    for (const entry of this.entries())
      if (entry.page === page) this.clear(entry.address, (entry.address + PAGE_SIZE) as VirtAddr);
  }

  /** All entries, region by region. */
  *entries(): Generator<DeviceEntry, void, void> {
    for (const [region, table] of this.tables) {
      for (let slot = 0; slot < ENTRIES; slot++) {
        const flags = table[(slot << 1) | 1] as number;
        if (flags === 0) continue;
        const address = (region * REGION + slot * PAGE_SIZE) as VirtAddr;
        yield { address, page: table[slot << 1] as Page, flags };
      }
    }
  }

  private find(region: number): Int32Array | undefined {
    if (region === this.lastRegion) return this.lastTable;
    const table = this.tables.get(region);
    if (table === undefined) return undefined;
    this.lastRegion = region;
    this.lastTable = table;
    return table;
  }

  private clearIn(region: number, start: VirtAddr, end: VirtAddr): void {
    const table = this.tables.get(region);
    if (table === undefined) return;
    const base = region * REGION;
    const from = Math.max(0, Math.floor((start - base) / PAGE_SIZE));
    const to = Math.min(ENTRIES, Math.ceil((end - base) / PAGE_SIZE));
    this.tell(table, from * 2, to * 2);
    if (from > 0 || to < ENTRIES) {
      table.fill(0, from * 2, to * 2);
      return;
    }
    this.tables.delete(region);
    if (region === this.lastRegion) this.lastRegion = NO_REGION;
  }

  /** Reports the pages of dirty entries in words `from` to `to` of a table, before the entries are removed. */
  private tell(table: Int32Array, from: number, to: number): void {
    for (let at = from; at < to; at += 2)
      if (((table[at | 1] as number) & DevicePte.dirty) !== 0) this.written(table[at] as Page);
  }
}

function regionOf(address: VirtAddr): number {
  return Math.floor(address / REGION);
}

function slotOf(address: VirtAddr): number {
  return Math.floor((address % REGION) / PAGE_SIZE);
}
