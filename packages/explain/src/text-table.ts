// Tables of sizes: columns of numbers first, aligned on the right, and the name last, so that names may have any length.
// Sizes are printed in KiB, MiB or GiB with one decimal.
import { GiB, KiB, MiB, PAGE_SIZE } from "@hetmem/kernel";

/** One row: pages in each column, undefined for an empty cell, and the name behind them. */
export interface TableRow {
  readonly pages: readonly (number | undefined)[];
  readonly what: string;
}

/** Characters of a column: the widest size, `1023.9 MiB`, and two blanks. */
const COLUMN = 12;
/** Limits above this number of pages are printed as none. */
export const NO_LIMIT = 2 ** 50;

/**
 * The lines of a table.
 *
 * @param columns headings; the last one is the heading of the names
 */
export function tableLines(columns: readonly string[], rows: readonly TableRow[]): string[] {
  const [what = "", ...numbers] = columns.toReversed();
  const heading = numbers.toReversed().map((name) => name.padStart(COLUMN));
  return [
    `${heading.join("")}   ${what}`,
    ...rows.map(
      (row) => `${row.pages.map((pages) => sizeText(pages).padStart(COLUMN)).join("")}   ${row.what}`,
    ),
  ];
}

/** The first rows as they are, and the rest added up in one. */
export function folded<T>(
  rows: readonly T[],
  { most, add }: { readonly most: number; readonly add: (rest: readonly T[]) => T },
): T[] {
  return rows.length <= most + 1 ? [...rows] : [...rows.slice(0, most), add(rows.slice(most))];
}

/** "1.5 MiB"; "-" for 0 pages, "" for undefined. Fractions of a page are shares of a page mapped several times. */
export function sizeText(pages: number | undefined): string {
  if (pages === undefined || pages === 0) return pages === 0 ? "-" : "";
  const bytes = pages * PAGE_SIZE;
  if (bytes >= GiB) return `${(bytes / GiB).toFixed(1)} GiB`;
  return bytes >= MiB ? `${(bytes / MiB).toFixed(1)} MiB` : `${Math.round(bytes / KiB)} KiB`;
}

/** A size, "0 KiB" for 0 pages, "no limit" above NO_LIMIT. */
export function amountText(pages: number): string {
  if (pages > NO_LIMIT) return "no limit";
  return pages === 0 ? "0 KiB" : sizeText(pages);
}
