// Files of /tmp that processes map. Their text is the vfs's and their pages are a tmpfs's; where a process has them mapped
// the two are made equal before and after each program. Not modelled: a file that is emptied while it is mapped is another
// one from then on, as if it had been removed first.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import {
  type FileObject,
  fileRead,
  fileWrite,
  type Inode,
  type MmStruct,
  OpenFile,
  shmemVmOps,
  type TmpfsPages,
} from "@hetmem/mm";
import type { MemoryDirectory, MemoryFile, Vfs } from "@hetmem/vfs";

interface MappedFile {
  readonly file: MemoryFile;
  readonly open: OpenFile;
  /** What both held when they were last compared. */
  text: string;
}

export class MappedFiles {
  readonly #vfs: Vfs;
  readonly #pages: TmpfsPages;
  readonly #openDevice: (path: string) => FileObject | undefined;
  readonly #payer: () => MmStruct | undefined;
  readonly #mapped = new Map<MemoryFile, MappedFile>();

  /**
   * @param openDevice a device that can be mapped, by its path; undefined for any other file
   * @param payer whose pages come into memory when files are read and written; undefined: nobody's
   */
  constructor(
    vfs: Vfs,
    pages: TmpfsPages,
    openDevice: (path: string) => FileObject | undefined,
    payer: () => MmStruct | undefined,
  ) {
    this.#vfs = vfs;
    this.#pages = pages;
    this.#openDevice = openDevice;
    this.#payer = payer;
  }

  /** @throws KernelError ENOENT, ENOTDIR, EISDIR; ENODEV for a file that is rendered, EINVAL for an empty one; and what `use` throws */
  *withFile<T>(path: string, use: (file: FileObject) => Sleeps<T>): Sleeps<T> {
    const device = this.#openDevice(path);
    if (device) return yield* use(device);
    const file = this.#find(path);
    const inode = this.#pages.inode(file.inode);
    if (!inode)
      throw new KernelError("EINVAL", `${path} is empty: write something to it before it is mapped`);
    const open = new OpenFile(inode, { path: this.#vfs.realpath(path), writable: true, vmOps: shmemVmOps });
    if (this.#mapped.get(file)?.open.host !== inode) {
      this.#mapped.set(file, { file, open, text: "" });
      yield* this.load();
    }
    try {
      return yield* use(open);
    } finally {
      yield* open.close();
    }
  }

  /** The path of a file by its pages; undefined when they are of none in /tmp. */
  pathOf(inode: Inode): string | undefined {
    return this.#pathBelow("", this.#vfs.memory.root, inode);
  }

  /** What programs wrote to the files is in their pages. */
  *load(): Sleeps<void> {
    for (const mapped of this.#mapped.values())
      if (mapped.file.text !== mapped.text && this.#isCurrent(mapped)) yield* loadFile(mapped, this.#payer());
  }

  /** What processes wrote to the pages is in the files. Those that nobody maps any more are forgotten. */
  *store(): Sleeps<void> {
    // A subshell may have written to a file itself.
    yield* this.load();
    for (const mapped of this.#mapped.values()) {
      const { file, open } = mapped;
      if (this.#isCurrent(mapped) && mapped.text === file.text) yield* storeFile(mapped, this.#payer());
      if (open.mapping.iMmap.size === 0 || !this.#isCurrent(mapped)) this.#mapped.delete(file);
    }
  }

  /** Whether the pages still are the file's. */
  #isCurrent({ file, open }: MappedFile): boolean {
    return this.#pages.inode(file.inode) === open.host;
  }

  #pathBelow(path: string, { children }: MemoryDirectory, inode: Inode): string | undefined {
    for (const [name, entry] of children) {
      const at = `${path}/${name}`;
      if (entry.kind === "directory") {
        const found = this.#pathBelow(at, entry, inode);
        if (found !== undefined) return found;
      } else if (this.#pages.inode(entry.inode) === inode) return at;
    }
    return undefined;
  }

  #find(path: string): MemoryFile {
    const { kind } = this.#vfs.stat(path);
    if (kind === "directory") throw new KernelError("EISDIR", `${path} is a directory`);
    let at: MemoryFile | MemoryDirectory | undefined = this.#vfs.memory.root;
    for (const name of this.#vfs.realpath(path).split("/").filter(Boolean))
      at = at?.kind === "directory" ? at.children.get(name) : undefined;
    if (at?.kind === "file") return at;
    throw new KernelError("ENODEV", `${path} is made when it is read, and has no pages that could be mapped`);
  }
}

function* loadFile(mapped: MappedFile, payer: MmStruct | undefined): Sleeps<void> {
  const { file, open } = mapped;
  const { text } = file;
  const written = yield* unlessShort(fileWrite(open, 0, Buffer.from(text, "latin1"), payer));
  if (written === text.length) mapped.text = text;
}

function* storeFile(mapped: MappedFile, payer: MmStruct | undefined): Sleeps<void> {
  const { file, open } = mapped;
  const bytes = yield* unlessShort(fileRead(open, 0, open.host.size, payer));
  if (bytes === undefined || file.text !== mapped.text) return;
  mapped.text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  file.text = mapped.text;
}

/** Where there is no memory for it now, it is tried again with the next program. */
function* unlessShort<T>(transfer: Sleeps<T>): Sleeps<T | undefined> {
  try {
    return yield* transfer;
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
