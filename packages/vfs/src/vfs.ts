// The file system of a machine: attribute tables and plain memory files as one tree, with the calls that user space
// has for it. Reads and writes may sleep, because they run show() and store() of a file; all other calls are atomic.
// Kernel counterparts: fs/open.c, fs/read_write.c, fs/stat.c, fs/kernfs/file.c.
import { KernelError, MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { type AttributeTable, attributeMode, type DeviceNumber, isReadable } from "./attribute.ts";
import { bytesOf, textOf } from "./bytes.ts";
import { compareNames, fileSystemOf } from "./file-system.ts";
import { GlobPattern, hasGlob, unescapeGlob } from "./glob.ts";
import { type MemoryFile, MemoryFiles } from "./memory-files.ts";
import { type Directory, type Node, PathWalk } from "./resolve.ts";
import { PatternTree, segmentsOf } from "./tree.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import "./version.ts";

export type FileKind = "file" | "directory" | "link";

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: FileKind;
  /** The target of a link, as readlink() prints it. */
  readonly target?: string;
}

/** @see struct stat, stat(2) */
export interface Stat {
  readonly kind: FileKind;
  /** Permission bits. */
  readonly mode: number;
  /** Bytes: 4096 for every file of sysfs, 0 in proc, the length of a plain file. */
  readonly size: number;
  /** Number of links: for a directory 2 and one for each directory in it. */
  readonly nlink: number;
  /** Space in units of 512 bytes: whole pages for a plain file, 0 for a rendered one. */
  readonly blocks: number;
  readonly device?: DeviceNumber;
}

/** An entry of walk(), with its path. */
export interface WalkEntry extends DirectoryEntry {
  readonly path: string;
}

/** "write" truncates a plain file, "append" doesn't; both create a missing file where files can be created. */
export type OpenMode = "read" | "write" | "append";

/** @see struct file in include/linux/fs.h */
export interface OpenFile {
  /** Whether readAt() reads at the offset. Otherwise each read renders the whole file. */
  readonly seekable: boolean;
  /** Reads the whole text. @throws KernelError EINVAL for a file with readAt, EFBIG for more than TEXT_MAX bytes */
  read(): Sleeps<string>;
  /** Up to `length` bytes from `offset` on, fewer at the end: one pread(2). A character of a text is a byte. */
  readAt(offset: number, length: number): Sleeps<Uint8Array>;
  /**
   * One write(2): one call of the attribute's store(). An empty write calls nothing. When a plain file runs out of
   * room, the bytes written before the error stay.
   */
  write(data: string | Uint8Array): Sleeps<void>;
}

/** The most bytes of a plain file that is read as one text. */
export const TEXT_MAX: number = 64 * MiB;
/** The most paths that a glob keeps at one segment of its pattern. */
const GLOB_MAX = 262_144;

export class Vfs {
  readonly memory: MemoryFiles;
  readonly #tree = new PatternTree();
  readonly #walk: PathWalk;

  constructor(memory: MemoryFiles = new MemoryFiles()) {
    this.memory = memory;
    this.#walk = new PathWalk(this.#tree, memory);
  }

  /** Mounts the files of a table. @throws KernelError EEXIST, with nothing mounted, when a pattern is mounted */
  mount(table: AttributeTable): void {
    this.#tree.mount(table);
  }

  /**
   * Mounts the root of a table now, and its files at the first lookup or listing below the root: a machine has more
   * files than most programs use.
   *
   * @throws KernelError EEXIST when the root is no directory. A pattern that is mounted already is found only at that
   * first lookup.
   */
  mountLazily(table: AttributeTable): void {
    this.#tree.mountLazily(table);
  }

  /** Reads a whole file. @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES, ELOOP, EFBIG, or the error of show() */
  *read(path: string): Sleeps<string> {
    return yield* this.open(path, "read").read();
  }

  /**
   * Writes to a file that exists: one call of store(), or the new contents of a plain file.
   *
   * @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES, ELOOP, or the error of store()
   */
  *write(path: string, text: string): Sleeps<void> {
    this.#walk.resolve(path, true);
    yield* this.open(path, "write").write(text);
  }

  /**
   * Opens a file as root. A file without the permission bit or without the function for the mode is refused even to
   * root, as in kernfs.
   *
   * @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES, ELOOP
   *
   * @see kernfs_fop_open() in fs/kernfs/file.c
   */
  open(path: string, mode: OpenMode): OpenFile {
    const node = mode === "read" ? this.#walk.resolve(path, true) : this.#openOrCreate(path);
    switch (node.kind) {
      case "directory":
        throw new KernelError("EISDIR", `${path} is a directory`);
      case "link":
        throw new KernelError("ELOOP", `${path} is a link that leads nowhere`);
      case "memory-file":
        return this.#openMemoryFile(node.file, path, mode);
      case "file":
        return openAttribute(node, mode);
    }
  }

  /** The entries of a directory, sorted as `ls` does. @throws KernelError ENOENT, ENOTDIR, ELOOP */
  list(path: string): DirectoryEntry[] {
    return this.#entries(this.#directory(path)).sort((a, b) => compareNames(a.name, b.name));
  }

  /** The entries of a directory in the order of its file system, in which `find` and `grep -r` visit them. */
  readdir(path: string): DirectoryEntry[] {
    const directory = this.#directory(path);
    const entries = new Map(this.#entries(directory).map((entry) => [entry.name, entry]));
    return fileSystemOf(directory.path)
      .order([...entries.keys()])
      .flatMap((name) => entries.get(name) ?? []);
  }

  /** @throws KernelError ENOENT, ENOTDIR, ELOOP */
  stat(path: string): Stat {
    return this.#statOf(this.#walk.resolve(path, true));
  }

  /** stat() that doesn't follow a link at the end of the path. */
  lstat(path: string): Stat {
    return this.#statOf(this.#walk.resolve(path, false));
  }

  /** Whether a path resolves, links followed. */
  exists(path: string): boolean {
    return this.#resolves(path, true);
  }

  /** The target of a link, not resolved. @throws KernelError EINVAL when it isn't a link, ENOENT, ENOTDIR, ELOOP */
  readlink(path: string): string {
    const node = this.#walk.resolve(path, false);
    if (node.kind !== "link") throw new KernelError("EINVAL", `${path} is not a link`);
    return node.target;
  }

  /** The absolute path of the same file, without links or `..`. @throws KernelError ENOENT, ENOTDIR, ELOOP */
  realpath(path: string): string {
    return this.#walk.resolve(path, true).path;
  }

  /**
   * The paths that a pattern matches, sorted as a shell does in the C locale. A name that begins with a dot is
   * matched only by a segment that begins with one.
   *
   * @throws KernelError ENOMEM when more than GLOB_MAX paths match the beginning of the pattern
   */
  glob(pattern: string): string[] {
    let found = [pattern.startsWith("/") ? "/" : ""];
    const segments = segmentsOf(pattern);
    segments.forEach((segment, index) => {
      const last = index === segments.length - 1;
      const below: string[] = [];
      for (const base of found) {
        below.push(...this.#globSegment(base, segment, last));
        if (below.length > GLOB_MAX)
          throw new KernelError("ENOMEM", `${pattern} leads through more than ${GLOB_MAX} names`);
      }
      found = below;
    });
    const paths = pattern.endsWith("/") && segments.length > 0 ? found.map((path) => `${path}/`) : found;
    return paths.filter((path) => this.#resolves(path, false)).sort(compareNames);
  }

  /** All entries below a directory, depth first, sorted; links aren't followed. @throws KernelError ENOENT, ENOTDIR */
  *walk(path: string): Iterable<WalkEntry> {
    for (const entry of this.list(path)) {
      const below = path.endsWith("/") ? path + entry.name : `${path}/${entry.name}`;
      yield { ...entry, path: below };
      if (entry.kind === "directory") yield* this.walk(below);
    }
  }

  /** Makes a directory. @throws KernelError EEXIST, ENOENT, ENOTDIR, EACCES, or the error of a tree's mkdir() */
  mkdir(path: string): void {
    const { parent, name } = this.#walk.resolveParent(path.replace(/(?<=.)\/+$/, ""));
    if (name === undefined || this.#walk.child(parent, name))
      throw new KernelError("EEXIST", `${path} is there already`);
    if (parent.tree) parent.tree.mkdir(name);
    else this.memory.mkdir(writableDirectory(parent, path), name);
  }

  /** Removes a plain file. @throws KernelError EISDIR, ENOENT, ENOTDIR, EPERM for a rendered file */
  unlink(path: string): void {
    const node = this.#walk.resolve(path, false);
    if (node.kind === "directory") throw new KernelError("EISDIR", `${path} is a directory: use rmdir`);
    this.#remove(path);
  }

  /**
   * Removes an empty directory, or one of a tree with all its files.
   *
   * @throws KernelError ENOTDIR, ENOTEMPTY, ENOENT, EPERM for a directory of a table, the errors of a tree's rmdir()
   */
  rmdir(path: string): void {
    const node = this.#walk.resolve(path, false);
    if (node.kind !== "directory") throw new KernelError("ENOTDIR", `${path} is not a directory`);
    if (node.places.length > 0) throw new KernelError("EPERM", `${path} belongs to a mounted table`);
    if (node.tree) this.#removeFromTree(node.path);
    else this.#remove(node.path);
  }

  #directory(path: string): Directory {
    const node = this.#walk.resolve(path, true);
    if (node.kind !== "directory") throw new KernelError("ENOTDIR", `${path} is not a directory`);
    return node;
  }

  #entries(directory: Directory): DirectoryEntry[] {
    if (directory.tree) return treeEntries(directory.tree);
    const entries = new Map<string, DirectoryEntry>();
    for (const [name, { kind }] of directory.memory?.children ?? []) entries.set(name, { name, kind });
    for (const [name, entry] of this.#tree.entries(directory.places)) {
      entries.set(
        name,
        entry.kind === "link" ? { name, kind: "link", target: entry.target } : { name, kind: entry.kind },
      );
    }
    return [...entries.values()];
  }

  #statOf(node: Node): Stat {
    const { fileSize, directoryMode } = fileSystemOf(node.path);
    switch (node.kind) {
      case "directory": {
        const subdirectories = (): number =>
          this.#entries(node).filter(({ kind }) => kind === "directory").length;
        return {
          kind: "directory",
          mode: directoryMode,
          size: 0,
          // A getter: counting lists the directory, which most callers of stat() don't need.
          get nlink() {
            return 2 + subdirectories();
          },
          blocks: 0,
        };
      }
      case "link":
        return { kind: "link", mode: 0o777, size: 0, nlink: 1, blocks: 0 };
      case "memory-file": {
        const size = this.memory.pages.size(node.file.inode);
        return {
          kind: "file",
          mode: 0o644,
          size,
          nlink: 1,
          blocks: Math.ceil(size / PAGE_SIZE) * (PAGE_SIZE / 512),
        };
      }
      case "file": {
        const { attribute, params } = node;
        const device = typeof attribute.device === "function" ? attribute.device(params) : attribute.device;
        const stat: Stat = {
          kind: "file",
          mode: attributeMode(attribute),
          size: fileSize,
          nlink: 1,
          blocks: 0,
        };
        return device ? { ...stat, device } : stat;
      }
    }
  }

  #openOrCreate(path: string): Node {
    const { parent, name } = this.#walk.resolveParent(path);
    if (name === undefined) return parent;
    const node = this.#walk.child(parent, name);
    if (node) return node;
    const file = this.memory.create(writableDirectory(parent, path), name);
    return { kind: "memory-file", path, file };
  }

  #openMemoryFile({ inode }: MemoryFile, path: string, mode: OpenMode): OpenFile {
    const { pages } = this.memory;
    let position = 0;
    if (mode === "write") pages.truncate(inode, 0);
    return {
      seekable: true,
      *read() {
        const size = pages.size(inode);
        if (size > TEXT_MAX)
          throw new KernelError(
            "EFBIG",
            `${path} has ${size} bytes, and what is read as one text has at most ${TEXT_MAX}`,
          );
        return textOf(yield* pages.read(inode, 0, size));
      },
      readAt: (offset, length) => pages.read(inode, offset, length),
      *write(data) {
        const bytes = typeof data === "string" ? bytesOf(data) : data;
        // Ends: each call writes a byte at least, or throws.
        for (let done = 0; done < bytes.length;) {
          const at = mode === "append" ? pages.size(inode) : position;
          const written = yield* pages.write(inode, at, bytes.subarray(done));
          done += written;
          position = at + written;
        }
      },
    };
  }

  #globSegment(base: string, segment: string, last: boolean): string[] {
    const join = (name: string): string => (base === "" || base === "/" ? base + name : `${base}/${name}`);
    if (!hasGlob(segment)) return [join(unescapeGlob(segment))];
    if (!this.#resolves(base, false) || this.stat(base).kind !== "directory") return [];
    const matcher = GlobPattern.parse(segment);
    const hidden = segment.startsWith(".") || segment.startsWith("\\.");
    const entries = this.list(base).filter(
      ({ name }) => (hidden || !name.startsWith(".")) && matcher.matches(name),
    );
    return entries.filter(({ kind }) => last || kind !== "file").map(({ name }) => join(name));
  }

  /**
   * Whether a path resolves.
   *
   * @param follow whether a link at the end is followed: a dangling one doesn't resolve then
   */
  #resolves(path: string, follow: boolean): boolean {
    try {
      this.#walk.resolve(path, follow);
      return true;
    } catch (error) {
      if (error instanceof KernelError) return false;
      throw error;
    }
  }

  #removeFromTree(path: string): void {
    const { parent, name } = this.#parentOf(path);
    if (!parent.tree) throw new KernelError("EBUSY", `${path} is where a file system is mounted`);
    parent.tree.rmdir(name);
  }

  #remove(path: string): void {
    const { parent, name } = this.#parentOf(path);
    if (!parent.memory?.children.has(name)) {
      throw new KernelError("EPERM", `${path} is rendered from the machine: it can't be removed`);
    }
    this.memory.remove(parent.memory, name);
  }

  /** The parent directory and the last name of an absolute path without links. */
  #parentOf(path: string): { parent: Directory; name: string } {
    const segments = segmentsOf(path);
    const name = segments.at(-1) ?? "";
    return { parent: this.#directory(`/${segments.slice(0, -1).join("/")}`), name };
  }
}

function treeEntries(tree: TreeDirectory): DirectoryEntry[] {
  return [
    ...Array.from(tree.directoryNames(), (name): DirectoryEntry => ({ name, kind: "directory" })),
    ...Array.from(tree.fileNames(), (name): DirectoryEntry => ({ name, kind: "file" })),
  ];
}

/** The directory in memory in which a new name can be made. @throws KernelError EACCES, or ENOENT in /proc */
function writableDirectory(parent: Directory, path: string): NonNullable<Directory["memory"]> {
  const { createErrno, name } = fileSystemOf(parent.path);
  if (createErrno) throw new KernelError(createErrno, `${path}: nothing can be created in ${name}`);
  if (!parent.memory) throw new KernelError("EACCES", `${path}: ${parent.path} belongs to a mounted table`);
  return parent.memory;
}

function openAttribute(node: Extract<Node, { kind: "file" }>, mode: OpenMode): OpenFile {
  const { attribute, params, path } = node;
  const bits = attributeMode(attribute);
  const { readErrno, writeErrno } = fileSystemOf(path);
  const readable = isReadable(attribute) && (bits & 0o444) !== 0;
  if (mode === "read" && !readable && !readErrno)
    throw new KernelError("EACCES", `${path} can only be written`);
  const writable = attribute.store !== undefined && (bits & 0o222) !== 0;
  if (mode !== "read" && !writable && !writeErrno)
    throw new KernelError("EACCES", `${path} can only be read`);
  function* read(): Sleeps<string> {
    if (!readable && readErrno) throw new KernelError(readErrno, `${path} can only be written`);
    if (attribute.readAt)
      throw new KernelError("EINVAL", `${path} holds bytes without an end in sight: read it at an offset`);
    const shown = attribute.show?.(params) ?? "";
    return typeof shown === "string" ? shown : yield* shown;
  }
  return {
    seekable: attribute.readAt !== undefined,
    read,
    *readAt(offset, length) {
      const bytes =
        attribute.readAt?.(params, offset, length) ?? bytesOf((yield* read()).slice(offset, offset + length));
      return bytes instanceof Uint8Array ? bytes : yield* bytes;
    },
    *write(data) {
      const text = typeof data === "string" ? data : textOf(data);
      if (text === "") return;
      if (!writable) throw new KernelError(writeErrno ?? "EACCES", `${path} can only be read`);
      const stored = attribute.store?.(params, text);
      if (stored) yield* stored;
    },
  };
}
