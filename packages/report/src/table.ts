// Tables of text. A column is as wide as its widest cell. Cells are painted after the widths are known. A table that is wider
// than the terminal does without its spare columns.

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Columns with the highest number are left out first from a table that is too wide. Absent: the column always stays. */
  readonly spare?: number;
}

/** Paints the text of a cell, already padded. */
export type PaintCell = (text: string, row: number, column: number) => string;

const GAP = "  ";

/**
 * Lines of a table: its titles, then a line a row; two spaces between columns.
 *
 * @param width columns of the terminal
 * @param paint is given the place of a cell among all rows and columns, and row -1 for a title
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  paint: PaintCell = (text) => text,
): string[] {
  const sized = columns.map((column, index) => ({
    ...column,
    index,
    width: Math.max(column.title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  }));
  const shown = fitting(sized, width);
  const line = (cells: readonly string[], row: number): string =>
    shown
      .map(({ align = "left", index, width: cell }) => {
        const text = cells[index] ?? "";
        return paint(align === "left" ? text.padEnd(cell) : text.padStart(cell), row, index);
      })
      .join(GAP)
      .trimEnd();
  const titles = columns.map(({ title }) => title);
  return [line(titles, -1), ...rows.map((row, index) => line(row, index))];
}

/** The columns without as many spare ones as must go for the table to fit. */
function fitting<T extends Column & { readonly width: number }>(
  columns: readonly T[],
  width: number,
): readonly T[] {
  const taken = columns.reduce((sum, column) => sum + column.width + GAP.length, -GAP.length);
  const mostSpare = Math.max(...columns.map(({ spare = 0 }) => spare));
  if (taken <= width || mostSpare === 0) return columns;
  return fitting(
    columns.filter(({ spare = 0 }) => spare !== mostSpare),
    width,
  );
}
