// The text of /proc/iomem for the firmware map of a specification. parseIomem() of @hetmem/resource reads it. Kernel counterpart:
// r_show() in kernel/resource.c.
import type { IomemEntry } from "./machine-spec.ts";

export function writeIomem(entries: readonly IomemEntry[], level = 0): string {
  return entries.map((entry) => line(entry, level) + writeIomem(entry.children, level + 1)).join("");
}

function line({ start, end, name }: IomemEntry, level: number): string {
  return `${"  ".repeat(level)}${address(start)}-${address(end)} : ${name}\n`;
}

function address(value: number): string {
  return value.toString(16).padStart(8, "0");
}
