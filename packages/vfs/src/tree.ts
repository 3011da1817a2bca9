// What all mounted tables say together: a tree of pattern segments. A directory of the file system is a set of places
// in it, for several tables may have files in one directory, and a pattern and a plain name may stand for the same.
// Kernel counterpart: fs/kernfs/dir.c.
import { KernelBug, KernelError } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "./attribute.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { SegmentPattern } from "./pattern.ts";

/** What the end of a pattern is. */
export type Leaf =
  | { readonly kind: "file"; readonly attribute: Attribute }
  | { readonly kind: "link"; readonly target: (params: Params) => string }
  | { readonly kind: "tree"; readonly top: TreeDirectory };

interface PatternNode {
  readonly pattern: SegmentPattern;
  /** The table whose instances give the pattern its names. */
  readonly table: AttributeTable;
  readonly leaf: Leaf | undefined;
  readonly children: PatternNode[];
}

/** A node of the tree with the values that led to it. */
export interface Place {
  readonly node: PatternNode;
  readonly params: Params;
}

/** What a name in a directory leads to. */
export type TableEntry =
  | { readonly kind: "directory"; readonly places: readonly Place[]; readonly tree?: TreeDirectory }
  | { readonly kind: "file"; readonly attribute: Attribute; readonly params: Params }
  | { readonly kind: "link"; readonly target: string };

const NO_TABLE: AttributeTable = { root: "/" };

export class PatternTree {
  readonly #root: PatternNode = {
    pattern: new SegmentPattern("", NO_TABLE),
    table: NO_TABLE,
    leaf: undefined,
    children: [],
  };
  /** What each mounted pattern is, by its full path. */
  #kinds = new Map<string, "leaf" | "directory">();

  /** The places of "/". */
  get root(): readonly Place[] {
    return [{ node: this.#root, params: {} }];
  }

  /** @throws KernelError EEXIST, with nothing mounted, when a pattern is there already */
  mount(table: AttributeTable): void {
    if (!table.root.startsWith("/"))
      throw new KernelBug(`the root of a table is absolute, ${table.root} is not`);
    const patterns = patternsOf(table);
    const kinds = new Map(this.#kinds);
    for (const [path, leaf] of patterns) {
      for (const parent of ancestors(path)) claim(kinds, parent, "directory");
      claim(kinds, path, leaf ? "leaf" : "directory");
    }
    const nodes = patterns.map(([path, leaf]) => ({
      leaf,
      segments: segmentsOf(path).map((text) => new SegmentPattern(text, table)),
    }));
    for (const { segments, leaf } of nodes) this.#add(table, segments, leaf);
    this.#kinds = kinds;
  }

  /** What a name leads to, given the places of its directory. */
  lookup(places: readonly Place[], name: string): TableEntry | undefined {
    const found: Place[] = [];
    for (const { node, params } of places) {
      for (const child of node.children) {
        const values = child.pattern.match(name, params);
        if (values) found.push({ node: child, params: values });
      }
    }
    return entryOf(found);
  }

  /** Every name in a directory with what it leads to, in no order. */
  entries(places: readonly Place[]): Map<string, TableEntry> {
    const byName = new Map<string, Place[]>();
    for (const { node, params } of places) {
      for (const child of node.children) {
        for (const { name, params: values } of child.pattern.expand(params)) {
          const found = byName.get(name);
          if (found) found.push({ node: child, params: values });
          else byName.set(name, [{ node: child, params: values }]);
        }
      }
    }
    const entries = new Map<string, TableEntry>();
    for (const [name, found] of byName) {
      const entry = entryOf(found);
      if (entry) entries.set(name, entry);
    }
    return entries;
  }

  /** Nodes are shared where nothing but the name tells them apart: a literal, or a parameter of the same table. */
  #add(table: AttributeTable, segments: readonly SegmentPattern[], leaf: Leaf | undefined): void {
    let node = this.#root;
    segments.forEach((pattern, index) => {
      const ownLeaf = index === segments.length - 1 ? leaf : undefined;
      const shared = node.children.find(
        (child) =>
          !child.leaf && child.pattern.text === pattern.text && (pattern.literal || child.table === table),
      );
      if (shared && !ownLeaf) {
        node = shared;
      } else {
        const child: PatternNode = { pattern, table, leaf: ownLeaf, children: [] };
        node.children.push(child);
        node = child;
      }
    });
  }
}

/** The segments of a path, without empty ones. */
export function segmentsOf(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function entryOf(found: readonly Place[]): TableEntry | undefined {
  const [first] = found;
  if (!first) return undefined;
  const { leaf } = first.node;
  if (!leaf) return { kind: "directory", places: found.filter(({ node }) => !node.leaf) };
  if (leaf.kind === "file") return { kind: "file", attribute: leaf.attribute, params: first.params };
  if (leaf.kind === "tree") return { kind: "directory", places: [], tree: leaf.top };
  return { kind: "link", target: leaf.target(first.params) };
}

/** Everything a table mounts, as full paths; directories have no leaf. */
function patternsOf(table: AttributeTable): [path: string, leaf: Leaf | undefined][] {
  const { root, files = {}, links = {}, directories = [], trees = {} } = table;
  return [
    [joinPattern(root, ""), undefined],
    ...directories.map((path): [string, undefined] => [joinPattern(root, path), undefined]),
    ...Object.entries(files).map(([path, attribute]): [string, Leaf] => [
      joinPattern(root, path),
      { kind: "file", attribute },
    ]),
    ...Object.entries(links).map(([path, target]): [string, Leaf] => [
      joinPattern(root, path),
      { kind: "link", target },
    ]),
    ...Object.entries(trees).map(([path, top]): [string, Leaf] => [
      joinPattern(root, path),
      { kind: "tree", top },
    ]),
  ];
}

function claim(kinds: Map<string, "leaf" | "directory">, path: string, kind: "leaf" | "directory"): void {
  const known = kinds.get(path);
  if (known === "leaf" || (known && kind === "leaf")) {
    throw new KernelError(
      "EEXIST",
      `${path} is mounted already, as a ${known === "leaf" ? "file, link or tree" : "directory"}`,
    );
  }
  kinds.set(path, kind);
}

function joinPattern(root: string, path: string): string {
  return `/${[...segmentsOf(root), ...segmentsOf(path)].join("/")}`;
}

function ancestors(path: string): string[] {
  const segments = segmentsOf(path);
  return segments.slice(0, -1).map((_, index) => `/${segments.slice(0, index + 1).join("/")}`);
}
