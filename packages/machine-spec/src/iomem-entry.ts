// A specification's map of physical addresses in the text of /proc/iomem, which is how the resource tree takes it.
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
