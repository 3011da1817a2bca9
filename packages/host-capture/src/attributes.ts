// Values of sysfs attributes, and lists of devices in a folder. A file that is missing, or may not be read, has no value.
// Kernel counterparts: the show functions of drivers/base, which end a value with a newline.
import type { HostTree } from "./tree.ts";

/** The text of an attribute; empty where there is none. */
export function textIn(tree: HostTree, path: string): string {
  return (tree.read(path) ?? "").trim();
}

/** A number, decimal or with 0x; undefined where there is none. */
export function numberIn(tree: HostTree, path: string): number | undefined {
  const text = textIn(tree, path);
  return /^(0x[0-9a-f]+|\d+)$/.test(text) ? Number(text) : undefined;
}

/** The number of a node; -1, NUMA_NO_NODE, where there is none. */
export function nodeIn(tree: HostTree, path: string): number {
  return numberIn(tree, path) ?? -1;
}

/** Of "512 [4096]" the number in brackets. */
export function chosenIn(tree: HostTree, path: string): number | undefined {
  const chosen = /\[(\d+)\]/.exec(textIn(tree, path))?.[1];
  return chosen === undefined ? undefined : Number(chosen);
}

/** Paths of entries called `region0`, `region1` and so on, by their numbers. */
export function numberedIn(tree: HostTree, folder: string, prefix: string): string[] {
  const numberOf = (name: string): number => Number(name.slice(prefix.length));
  return tree
    .list(folder)
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .sort((a, b) => numberOf(a) - numberOf(b))
    .map((name) => `${folder}/${name}`);
}
