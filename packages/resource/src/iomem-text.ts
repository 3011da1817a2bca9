// /proc/iomem: the tree as text, one line per resource. Readers without CAP_SYS_ADMIN get zeros for the addresses. A
// file read with privileges can be parsed back into a tree; the text holds no flags, so flags are derived from names.
// Kernel counterpart: r_show() in kernel/resource.c.
import { KernelError, MiB } from "@hetmem/kernel";
import {
  IORES_DESC_NONE,
  IORES_DESC_RESERVED,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_TYPE_BITS,
} from "./flags.ts";
import { kindOfName, kindOfParent } from "./iomem-names.ts";
import { createIomem, descendants, hex, Resource, type ResourceTree } from "./resource.ts";

/** The deepest level of indentation; deeper resources are printed at this level. @see MAX_IORES_LEVEL */
const MAX_IORES_LEVEL = 5;

/**
 * Formats a tree as /proc/iomem and /proc/ioports do.
 *
 * @param privileged whether the reader has CAP_SYS_ADMIN; without it all addresses are zeros
 * @returns one line per resource below the root
 */
export function formatIomem(tree: ResourceTree, { privileged }: { readonly privileged: boolean }): string {
  const digits = tree.end < 0x10000 ? 4 : 8;
  const lines: string[] = [];
  const printBelow = (above: Resource, level: number): void => {
    for (const child of above.children) {
      const start = hex(privileged ? child.start : 0, digits);
      const end = hex(privileged ? child.end : 0, digits);
      lines.push(`${"  ".repeat(level)}${start}-${end} : ${child.name}\n`);
      printBelow(child, Math.min(level + 1, MAX_IORES_LEVEL));
    }
  };
  printBelow(tree, 0);
  return lines.join("");
}

/**
 * Parses the text of /proc/iomem into a tree.
 *
 * @param tree an empty root whose range contains all addresses; createIomem() when absent
 * @throws KernelError EINVAL that names the line, EPERM when the addresses are hidden
 */
export function parseIomem(text: string, tree: ResourceTree = createIomem()): ResourceTree {
  const lines = text
    .split("\n")
    .map(readLine)
    .filter((line) => line !== undefined);
  if (lines.length > 0 && lines.every(({ start, end }) => start === 0 && end === 0)) {
    throw new KernelError("EPERM", "all addresses read as zero: read /proc/iomem as root");
  }
  const open: Resource[] = [];
  for (const { number, level, start, end, name } of lines) {
    closeTo(open, level, start, end);
    if (open.length < level)
      throw unreadable(number, `is indented by ${level} levels under one of ${open.length}`);
    const parent = open.at(-1) ?? tree;
    const before = parent.children.at(-1);
    if (end < start) throw unreadable(number, "ends before it starts");
    if (!parent.contains(start, end)) throw unreadable(number, `is not inside ${parent}`);
    if (before && before.end >= start) throw unreadable(number, `does not come after ${before}`);
    const resource = new Resource({ name, start, end });
    resource.parent = parent;
    parent.children.push(resource);
    open.push(resource);
  }
  giveKinds(tree);
  return tree;
}

interface Line {
  readonly number: number;
  readonly level: number;
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

function readLine(text: string, index: number): Line | undefined {
  if (text === "") return undefined;
  const parts = /^((?: {2}){0,5})([0-9a-f]{4,})-([0-9a-f]{4,}) : (.*)$/.exec(text);
  if (!parts) throw unreadable(index + 1, `"${text.slice(0, 60)}" is not "start-end : name"`);
  const [, indent = "", start = "", end = "", name = ""] = parts;
  return {
    number: index + 1,
    level: indent.length / 2,
    start: Number.parseInt(start, 16),
    end: Number.parseInt(end, 16),
    name,
  };
}

/** Closes resources that can't contain a line of this level. At the deepest level the addresses decide. */
function closeTo(open: Resource[], level: number, start: number, end: number): void {
  if (level < MAX_IORES_LEVEL) {
    open.length = Math.min(open.length, level);
    return;
  }
  const holds = (resource: Resource, at: number): boolean =>
    at < MAX_IORES_LEVEL || resource.contains(start, end);
  open.length = open.findLastIndex(holds) + 1;
}

/**
 * Derives flags and descriptors from names. Flags are derived bottom-up, since kindOfParent() reads the children's.
 * Descriptors are derived top-down, since a region inherits its parent's.
 */
function giveKinds(tree: ResourceTree): void {
  const isMemory = (tree.flags & IORESOURCE_TYPE_BITS) === IORESOURCE_MEM;
  const resources = [...descendants(tree)];
  for (const resource of resources.toReversed()) {
    const { flags } = kindOfName(resource.name) ?? kindOfParent(resource.children);
    resource.flags = isMemory ? flags : tree.flags | (flags & IORESOURCE_BUSY);
  }
  for (const resource of resources) {
    resource.desc = kindOfName(resource.name)?.desc ?? resource.parent?.desc ?? IORES_DESC_NONE;
    // Firmware reservations below 1 MiB, the BIOS areas, are busy. @see do_mark_busy()
    if (resource.desc === IORES_DESC_RESERVED && resource.start < MiB) resource.flags |= IORESOURCE_BUSY;
  }
}

function unreadable(line: number, what: string): KernelError {
  return new KernelError("EINVAL", `line ${line} ${what}`);
}
