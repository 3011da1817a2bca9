// Path walk: resolves a path to a node, name by name. `..` goes back along the stack of directories walked through,
// as in the kernel, so `link/..` is the parent of the link's target. Kernel counterpart: fs/namei.c.
import { KernelError } from "@hetmem/kernel";
import type { Attribute, Params } from "./attribute.ts";
import type { MemoryDirectory, MemoryFile, MemoryFiles } from "./memory-files.ts";
import { type PatternTree, type Place, segmentsOf } from "./tree.ts";
import type { TreeDirectory } from "./tree-directory.ts";

/** @see MAXSYMLINKS in include/linux/namei.h */
const LINKS_MAX = 40;
/** The most bytes of a path, its terminating zero counted. @see PATH_MAX in include/uapi/linux/limits.h */
const PATH_MAX = 4096;
/** The most bytes of one name. @see NAME_MAX in include/uapi/linux/limits.h */
const NAME_MAX = 255;

/**
 * A directory: its places in the tables and the directory in memory under them, if there is one. A directory of a
 * TreeDirectory has neither places nor memory.
 */
export interface Directory {
  readonly kind: "directory";
  readonly path: string;
  readonly places: readonly Place[];
  readonly memory: MemoryDirectory | undefined;
  readonly tree?: TreeDirectory;
}

/** A resolved path. */
export type Node =
  | Directory
  | { readonly kind: "file"; readonly path: string; readonly attribute: Attribute; readonly params: Params }
  | { readonly kind: "memory-file"; readonly path: string; readonly file: MemoryFile }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

export class PathWalk {
  readonly #tree: PatternTree;
  readonly #memory: MemoryFiles;

  constructor(tree: PatternTree, memory: MemoryFiles) {
    this.#tree = tree;
    this.#memory = memory;
  }

  /**
   * Resolves a path.
   *
   * @param followLast whether a link at the end of the path is followed
   * @throws KernelError ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG
   */
  resolve(path: string, followLast: boolean): Node {
    const { parent, name } = this.#walk(path, followLast);
    if (name === undefined) return parent;
    const node = this.child(parent, name);
    if (!node) throw new KernelError("ENOENT", `${path}: there is no ${name} in ${parent.path}`);
    return node;
  }

  /**
   * The directory of the path's last name, and that name. The name is undefined when the path is a directory that
   * exists.
   */
  resolveParent(path: string): { parent: Directory; name: string | undefined } {
    return this.#walk(path, true);
  }

  child(directory: Directory, name: string): Node | undefined {
    const path = directory.path === "/" ? `/${name}` : `${directory.path}/${name}`;
    if (directory.tree) return treeChild(directory.tree, name, path);
    const mounted = this.#tree.lookup(directory.places, name);
    const kept = directory.memory?.children.get(name);
    if (mounted?.kind === "directory") {
      return {
        kind: "directory",
        path,
        places: mounted.places,
        memory: kept?.kind === "directory" ? kept : undefined,
        ...(mounted.tree && { tree: mounted.tree }),
      };
    }
    if (mounted) return { ...mounted, path };
    if (kept?.kind === "directory") return { kind: "directory", path, places: [], memory: kept };
    return kept && { kind: "memory-file", path, file: kept };
  }

  /** Walks all names but the last, and also the last when it is a directory, a link to follow, "." or "..". */
  #walk(path: string, followLast: boolean): { parent: Directory; name: string | undefined } {
    if (path.length >= PATH_MAX)
      throw new KernelError(
        "ENAMETOOLONG",
        `a path has at most ${PATH_MAX - 1} bytes, and this one has ${path.length}`,
      );
    if (!path.startsWith("/")) throw new KernelError("ENOENT", `"${path}" is not an absolute path`);
    const root: Directory = {
      kind: "directory",
      path: "/",
      places: this.#tree.root,
      memory: this.#memory.root,
    };
    let stack: Directory[] = [root];
    let rest = splitPath(path);
    let links = 0;
    // Ends: each turn passes over a name, and at most LINKS_MAX links bring new ones.
    for (;;) {
      const here = stack.at(-1) ?? root;
      const name = rest[0];
      if (name === undefined) return { parent: here, name: undefined };
      rest = rest.slice(1);
      if (name === ".") continue;
      if (name === "..") {
        if (stack.length > 1) stack = stack.slice(0, -1);
        continue;
      }
      if (name.length > NAME_MAX)
        throw new KernelError(
          "ENAMETOOLONG",
          `a name has at most ${NAME_MAX} bytes, and one of ${here.path} was asked for with ${name.length}`,
        );
      const last = rest.length === 0;
      const node = this.child(here, name);
      if (node?.kind === "link" && (!last || followLast)) {
        if (++links > LINKS_MAX)
          throw new KernelError("ELOOP", `${path} goes through more than ${LINKS_MAX} links`);
        rest = [...splitPath(node.target), ...rest];
        if (node.target.startsWith("/")) stack = [root];
      } else if (last) {
        if (node?.kind !== "directory") return { parent: here, name };
        stack = [...stack, node];
      } else if (!node) {
        throw new KernelError("ENOENT", `${path}: there is no ${name} in ${here.path}`);
      } else if (node.kind === "directory") {
        stack = [...stack, node];
      } else {
        throw new KernelError("ENOTDIR", `${path}: ${node.path} is not a directory`);
      }
    }
  }
}

function treeChild(tree: TreeDirectory, name: string, path: string): Node | undefined {
  const below = tree.directory(name);
  if (below) return { kind: "directory", path, places: [], memory: undefined, tree: below };
  const attribute = tree.file(name);
  return attribute && { kind: "file", path, attribute, params: {} };
}

/** The names of a path. A slash at the end becomes a last name ".", which only a directory has. */
function splitPath(path: string): string[] {
  const segments = segmentsOf(path);
  return path.endsWith("/") && segments.length > 0 ? [...segments, "."] : segments;
}
