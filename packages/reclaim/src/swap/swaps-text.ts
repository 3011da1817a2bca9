// /proc/swaps: one line for each swap device, with its kind, size, use and priority. The columns are those of the
// kernel, tabs included.
// Kernel counterpart: swap_show() in mm/swapfile.c.
import { pagesToKiB } from "@hetmem/kernel";
import type { SwapArea } from "@hetmem/mm/ports";

/** Columns of the path. A size below NARROW_BELOW KiB is followed by another tab. */
const PATH_COLUMNS = 40;
const NARROW_BELOW = 10_000_000;

/** The text of the file, with sizes in KiB. @see swap_show() */
export function swapsText(areas: readonly SwapArea[]): string {
  const lines = areas.map(({ path, kind, pages, used, priority }) => {
    const columns = [kind === "file" ? "file\t" : kind, size(pages), size(used), `${priority}`];
    return `${`${path} `.padEnd(PATH_COLUMNS)}${columns.join("\t")}\n`;
  });
  return `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${lines.join("")}`;
}

function size(pages: number): string {
  const kilobytes = pagesToKiB(pages);
  return `${kilobytes}${kilobytes < NARROW_BELOW ? "\t" : ""}`;
}
