// The list of known bad sectors of a device, shown in its `badblocks` file and checked before each read. Kernel
// counterpart: block/badblocks.c, and badblocks_populate() in drivers/nvdimm/badrange.c.
import { type Range, RangeSet } from "./range-set.ts";

/** Bytes per sector. */
export const SECTOR_SIZE = 512;
/** Maximum number of sectors per table entry. @see BB_MAX_LEN */
const ENTRY_SECTORS_MAX = 512;
/** Maximum number of table entries: those of one page. @see MAX_BADBLOCKS */
const ENTRIES_MAX = 512;

export interface BadRange {
  readonly firstBad: number;
  readonly badSectors: number;
}

export class Badblocks {
  #sectors = new RangeSet();

  /**
   * Marks sectors as bad.
   *
   * @returns false when the table is full; a read then finds the error on the media
   * @see badblocks_set()
   */
  set(sector: number, sectors: number): boolean {
    const wider = new RangeSet(this.#sectors.ranges);
    wider.add(sector, sector + sectors);
    if (entriesOf(wider) > ENTRIES_MAX) return false;
    this.#sectors = wider;
    return true;
  }

  /** @see badblocks_clear() */
  clear(sector: number, sectors: number): void {
    this.#sectors.remove(sector, sector + sectors);
  }

  /** The lowest run of bad sectors that overlaps these sectors. @see badblocks_check() */
  check(sector: number, sectors: number): BadRange | undefined {
    const hit = this.#sectors.ranges.find(({ start, end }) => start < sector + sectors && end > sector);
    return hit && { firstBad: hit.start, badSectors: hit.end - hit.start };
  }

  /** Runs of bad sectors, lowest first. */
  get ranges(): readonly Range[] {
    return this.#sectors.ranges;
  }

  /** Total number of bad sectors. */
  get sectors(): number {
    return this.#sectors.ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Number of table entries. */
  get count(): number {
    return entriesOf(this.#sectors);
  }

  /** The text of the file: one line per entry with first sector and number of sectors. @see badblocks_show() */
  show(): string {
    const lines: string[] = [];
    for (const { start, end } of this.#sectors.ranges) {
      for (let at = start; at < end; at += ENTRY_SECTORS_MAX)
        lines.push(`${at} ${Math.min(ENTRY_SECTORS_MAX, end - at)}\n`);
    }
    return lines.join("");
  }
}

/**
 * Adds the known bad ranges of an address range, in whole sectors from its start. Sectors that are no longer known to
 * be bad stay in the list until a write clears them.
 *
 * @param badrange bytes of the physical address space
 * @see badblocks_populate() in drivers/nvdimm/badrange.c
 */
export function populateBadblocks(badblocks: Badblocks, badrange: RangeSet, { start, end }: Range): void {
  for (const bad of badrange.within(start, end)) {
    const first = Math.floor((bad.start - start) / SECTOR_SIZE);
    const last = Math.ceil((bad.end - start) / SECTOR_SIZE);
    badblocks.set(first, last - first);
  }
}

function entriesOf({ ranges }: RangeSet): number {
  return ranges.reduce((sum, { start, end }) => sum + Math.ceil((end - start) / ENTRY_SECTORS_MAX), 0);
}
