// /proc/swaps. Kernel counterpart: swap_show() in mm/swapfile.c.
import { pagesToKiB } from "@hetmem/kernel";
import type { SwapSpace } from "./swap-space.ts";

/** The path takes 40 columns at least, and numbers below this one a tab more behind them. */
const PATH_COLUMNS = 40;
const NARROW_BELOW = 10_000_000;

/** Every device in use, by number; sizes in kilobytes. @see swap_show() */
export function swapsText(swap: SwapSpace): string {
  const lines = swap.devices.map(({ path, kind, pages, used, priority }) => {
    const columns = [kind === "file" ? "file\t" : kind, size(pages), size(used), `${priority}`];
    return `${`${path} `.padEnd(PATH_COLUMNS)}${columns.join("\t")}\n`;
  });
  return `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${lines.join("")}`;
}

function size(pages: number): string {
  const kilobytes = pagesToKiB(pages);
  return `${kilobytes}${kilobytes < NARROW_BELOW ? "\t" : ""}`;
}
