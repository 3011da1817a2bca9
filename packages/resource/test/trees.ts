// Trees that several tests start from.
import { readFileSync } from "node:fs";
import { GiB, MiB } from "@hetmem/kernel";
import { createIomem, descendants, insertResource, Resource, type ResourceTree } from "../src/index.ts";

/** A capture of the kernel that gave the transcripts: its /proc/iomem. */
export function capture(name: "baseline" | "hidden-ram" | "nvdimm"): string {
  return readFileSync(new URL(`../fixtures/iomem-${name}.txt`, import.meta.url), "utf8");
}

/** The resource of that name, the first in the order of /proc/iomem. */
export function named(tree: ResourceTree, name: string): Resource {
  for (const resource of descendants(tree)) if (resource.name === name) return resource;
  throw new Error(`no ${name} in the tree`);
}

/** A tree as nested arrays, for comparison and for messages. */
export function shape(tree: Resource): unknown[] {
  return tree.children.map((child) => [
    child.name,
    child.start,
    child.end,
    child.flags,
    child.desc,
    shape(child),
  ]);
}

/** A 1 GiB device at 4 GiB that isn't busy, in an address space of 40 bits. */
export function treeWithDevice(flags?: number): { tree: ResourceTree; device: Resource } {
  const tree = createIomem(40);
  const range = { name: "device", start: 4 * GiB, end: 5 * GiB - 1 };
  const device = new Resource(flags === undefined ? range : { ...range, flags });
  insertResource(tree, device);
  return { tree, device };
}

export const BLOCK = 128 * MiB;
