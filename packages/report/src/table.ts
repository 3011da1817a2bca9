// Columns of text: widths from what is in them, numbers to the right. Colour is put on after the widths are known.

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Paints the text of a cell, already padded. */
export type PaintCell = (text: string, row: number, column: number) => string;

/** Lines of a table: its titles, then a line a row; two spaces between columns. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: PaintCell = (text) => text,
): string[] {
  const widths = columns.map(({ title }, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[], row: number): string =>
    columns
      .map(({ align = "left" }, column) => {
        const text = cells[column] ?? "";
        const width = widths[column] ?? 0;
        return paint(align === "left" ? text.padEnd(width) : text.padStart(width), row, column);
      })
      .join("  ")
      .trimEnd();
  const titles = columns.map(({ title }) => title);
  return [line(titles, -1), ...rows.map((row, index) => line(row, index))];
}
