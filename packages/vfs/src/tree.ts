// All mounted tables as one tree of pattern segments. A directory of the file system is a set of places in the tree:
// several tables may have files in one directory, and a pattern and a literal may match the same name. Kernel
// counterpart: fs/kernfs/dir.c.
import { KernelBug, KernelError } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "./attribute.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { SegmentPattern } from "./pattern.ts";

/** The last segment of a pattern. */
export type Leaf =
  | { readonly kind: "file"; readonly attribute: Attribute }
  | { readonly kind: "link"; readonly target: (params: Params) => string }
  | { readonly kind: "tree"; readonly top: TreeDirectory };

/** The kind of a mounted path. */
type Kind = "leaf" | "directory";

interface Pattern {
  readonly segments: readonly string[];
  readonly leaf: Leaf | undefined;
}

interface PatternNode {
  readonly pattern: SegmentPattern;
  /** The table whose instances give the pattern its names. */
  readonly table: AttributeTable;
  readonly leaf: Leaf | undefined;
  readonly children: PatternNode[];
  /** The children without a leaf, by the text of their pattern: a directory of /sys may have thousands. */
  readonly directories: Map<string, PatternNode[]>;
  /** Lazily mounted tables with this root that have not been read yet, in the order in which they were mounted. */
  waiting: readonly AttributeTable[];
}

/** A node of the tree with the values of the parameters on the way to it. */
export interface Place {
  readonly node: PatternNode;
  readonly params: Params;
}

/** The entry of a name in a directory of the tables. */
export type TableEntry =
  | { readonly kind: "directory"; readonly places: readonly Place[]; readonly tree?: TreeDirectory }
  | { readonly kind: "file"; readonly attribute: Attribute; readonly params: Params }
  | { readonly kind: "link"; readonly target: string };

const NO_TABLE: AttributeTable = { root: "/" };
/** The key is the path: see patternSegments(). */
const SEGMENTS = new Map<string, readonly string[]>();

export class PatternTree {
  readonly #root: PatternNode = newNode(new SegmentPattern("", NO_TABLE), NO_TABLE, undefined);
  /** The kind of each mounted pattern, by its full path. */
  readonly #kinds = new Map<string, Kind>();

  /** The places of "/". */
  get root(): readonly Place[] {
    return [{ node: this.#root, params: {} }];
  }

  /** Mounts a table. @throws KernelError EEXIST, with nothing mounted, when a pattern is mounted already */
  mount(table: AttributeTable): void {
    this.#mountWaiting(table.root);
    this.#mountPatterns(table, patternsOf(table));
  }

  /**
   * Mounts the root of a table now, and the rest at the first lookup or listing below the root.
   *
   * @throws KernelError EEXIST when the root is no directory
   */
  mountLazily(table: AttributeTable): void {
    const segments = patternSegments(table.root);
    this.#mountPatterns(table, [{ segments, leaf: undefined }]);
    const node = this.#directory(segments);
    node.waiting = [...node.waiting, table];
  }

  #mountPatterns(table: AttributeTable, patterns: readonly Pattern[]): void {
    if (!table.root.startsWith("/"))
      throw new KernelBug(`the root of a table is absolute, ${table.root} is not`);
    const claims = new Map<string, Kind>();
    for (const { segments, leaf } of patterns) {
      const path = `/${segments.join("/")}`;
      for (const parent of ancestors(path)) {
        // The ancestors of a claimed directory are claimed too.
        if (claims.get(parent) === "directory") break;
        this.#claim(claims, parent, "directory");
      }
      this.#claim(claims, path, leaf ? "leaf" : "directory");
    }
    // One SegmentPattern for each text: most segments occur in many paths.
    const known = new Map<string, SegmentPattern>();
    for (const text of new Set(patterns.flatMap(({ segments }) => segments)))
      known.set(text, new SegmentPattern(text, table));
    for (const { segments, leaf } of patterns)
      this.#add(
        table,
        segments.flatMap((text) => known.get(text) ?? []),
        leaf,
      );
    for (const [path, kind] of claims) this.#kinds.set(path, kind);
  }

  /** The entry of a name. @param places the places of its directory */
  lookup(places: readonly Place[], name: string): TableEntry | undefined {
    const found: Place[] = [];
    for (const { node, params } of places) {
      if (node.waiting.length > 0) this.#mountWaitingAt(node);
      for (const child of node.children) {
        const values = child.pattern.match(name, params);
        if (values) found.push({ node: child, params: values });
      }
    }
    return entryOf(found);
  }

  /** Every name of a directory with its entry, in no order. */
  entries(places: readonly Place[]): Map<string, TableEntry> {
    const byName = new Map<string, Place[]>();
    for (const { node, params } of places) {
      if (node.waiting.length > 0) this.#mountWaitingAt(node);
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

  /** The node of a mounted directory whose path has no parameters. */
  #directory(segments: readonly string[]): PatternNode {
    let node = this.#root;
    for (const text of segments) node = node.directories.get(text)?.[0] ?? node;
    return node;
  }

  /** Reads the lazily mounted tables on the way to a path, so that mount() finds patterns that two tables have. */
  #mountWaiting(path: string): void {
    let node = this.#root;
    this.#mountWaitingAt(node);
    for (const text of patternSegments(path)) {
      const next = node.directories.get(text)?.[0];
      if (!next) return;
      node = next;
      this.#mountWaitingAt(node);
    }
  }

  #mountWaitingAt(node: PatternNode): void {
    const ready = node.waiting.filter((table) => table.isThere?.() ?? true);
    if (ready.length === 0) return;
    node.waiting = node.waiting.filter((table) => !ready.includes(table));
    for (const table of ready) this.#mountPatterns(table, patternsOf(table));
  }

  #claim(claims: Map<string, Kind>, path: string, kind: Kind): void {
    const had = claims.get(path) ?? this.#kinds.get(path);
    if (had === "leaf" || (had && kind === "leaf")) {
      throw new KernelError(
        "EEXIST",
        `${path} is mounted already, as a ${had === "leaf" ? "file, link or tree" : "directory"}`,
      );
    }
    claims.set(path, kind);
  }

  /** Adds a pattern. Directories share a node when they have the same text and are a literal, or of the same table. */
  #add(table: AttributeTable, segments: readonly SegmentPattern[], leaf: Leaf | undefined): void {
    let node = this.#root;
    segments.forEach((pattern, index) => {
      const ownLeaf = index === segments.length - 1 ? leaf : undefined;
      const namesakes = node.directories.get(pattern.text) ?? [];
      const shared = namesakes.find((child) => pattern.literal || child.table === table);
      if (shared && !ownLeaf) {
        node = shared;
      } else {
        const child = newNode(pattern, table, ownLeaf);
        node.children.push(child);
        if (!ownLeaf) node.directories.set(pattern.text, [...namesakes, child]);
        node = child;
      }
    });
  }
}

function newNode(pattern: SegmentPattern, table: AttributeTable, leaf: Leaf | undefined): PatternNode {
  return { pattern, table, leaf, children: [], directories: new Map(), waiting: [] };
}

/** The segments of a pattern's path, cached over all machines: most machines have the same patterns. */
function patternSegments(path: string): readonly string[] {
  let segments = SEGMENTS.get(path);
  if (!segments) SEGMENTS.set(path, (segments = segmentsOf(path)));
  return segments;
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

/** All patterns of a table. A directory has no leaf. */
function patternsOf({
  root,
  files = {},
  links = {},
  directories = [],
  trees = {},
}: AttributeTable): Pattern[] {
  const top = patternSegments(root);
  const at = (path: string, leaf: Leaf | undefined): Pattern => ({
    segments: [...top, ...patternSegments(path)],
    leaf,
  });
  return [
    { segments: top, leaf: undefined },
    ...directories.map((path) => at(path, undefined)),
    ...Object.entries(files).map(([path, attribute]) => at(path, { kind: "file", attribute })),
    ...Object.entries(links).map(([path, target]) => at(path, { kind: "link", target })),
    ...Object.entries(trees).map(([path, tree]) => at(path, { kind: "tree", top: tree })),
  ];
}

/** The ancestors of a path, the parent first, without "/". */
function* ancestors(path: string): Generator<string, void, void> {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
    yield path.slice(0, end);
}
