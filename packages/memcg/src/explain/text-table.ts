// Sizes in columns, what they are of behind them: so that an eye finds the large ones, and a name may be as long as it is.
import { GiB, KiB, MiB, PAGE_SIZE } from "@hetmem/kernel";

/** Pages in each column, undefined where that means nothing; then what they are of. */
export interface TableRow {
  readonly pages: readonly (number | undefined)[];
  readonly what: string;
}

/** As `1023.9 MiB` needs it. */
const COLUMN = 12;
/** A larger number of pages is no limit. */
const NO_LIMIT = 2 ** 50;

/**
 * The lines of a table.
 *
 * @param columns their headings; the last one is of what stands behind the numbers
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

/** Rows of which only the largest are shown, and in what order they stand; the rest are added up. */
export function folded<T>(
  rows: readonly T[],
  { most, add }: { readonly most: number; readonly add: (rest: readonly T[]) => T },
): T[] {
  return rows.length <= most + 1 ? [...rows] : [...rows.slice(0, most), add(rows.slice(most))];
}

/** "1.5 MiB"; "-" for none at all. Parts of a page count: several may share it. */
export function sizeText(pages: number | undefined): string {
  if (pages === undefined || pages === 0) return pages === 0 ? "-" : "";
  const bytes = pages * PAGE_SIZE;
  if (bytes >= GiB) return `${(bytes / GiB).toFixed(1)} GiB`;
  return bytes >= MiB ? `${(bytes / MiB).toFixed(1)} MiB` : `${Math.round(bytes / KiB)} KiB`;
}

/** "0 KiB" for none; a limit that is none is no size. */
export function amountText(pages: number): string {
  if (pages > NO_LIMIT) return "no limit";
  return pages === 0 ? "0 KiB" : sizeText(pages);
}
