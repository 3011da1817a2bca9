// Freeing the page tables of an unmapped range: those that lie wholly between the mappings below and above. A table
// that a neighbouring mapping still uses stays, and is freed with that mapping. Kernel counterpart: free_pgd_range()
// in mm/memory.c.
import { KernelBug, type VirtAddr } from "@hetmem/kernel";
import { ENTRIES, ENTRY_SIZE, Level, NO_ENTRY, type PageTable } from "@hetmem/page-table";

/**
 * Frees the page tables of [start, end). Their entries are empty. The mmap lock is held for writing, or the address
 * space has no user.
 *
 * @param floor end of the mapping below, 0 when there is none
 * @param ceiling start of the mapping above, TASK_SIZE or more when there is none
 * @throws KernelBug when an entry isn't empty
 * @see free_pgtables() in mm/memory.c
 */
export function freePgtables(
  pageTable: PageTable,
  start: VirtAddr,
  end: VirtAddr,
  floor: number,
  ceiling: number,
): void {
  freeUnder(pageTable, Level.pgd, 0, 0, { start, end, floor, ceiling });
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly floor: number;
  readonly ceiling: number;
}

/** Frees the tables under the entries of one table. */
function freeUnder(pageTable: PageTable, level: Level, firstEntry: number, base: number, range: Range): void {
  const size = ENTRY_SIZE[level] as number;
  const from = Math.max(0, Math.floor((range.start - base) / size));
  const to = Math.min(ENTRIES, Math.ceil((range.end - base) / size));
  for (let slot = from; slot < to; slot++) {
    const entry = firstEntry + slot;
    const under = pageTable.tableUnder(entry);
    if (under === NO_ENTRY) continue;
    const begins = base + slot * size;
    if (level > Level.pmd) freeUnder(pageTable, (level - 1) as Level, under, begins, range);
    if (begins < range.floor || begins + size > range.ceiling) continue;
    if (!pageTable.isEmpty(under)) notEmpty(begins);
    pageTable.depopulate(entry);
  }
}

function notEmpty(begins: number): never {
  throw new KernelBug(`the page table at 0x${begins.toString(16)} goes while entries of it hold something`);
}
