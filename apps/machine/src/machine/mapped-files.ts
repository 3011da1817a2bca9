// Files that processes map: those of /tmp, whose bytes are in pages of a tmpfs, and devices.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { FileObject, MappedFile } from "@hetmem/mm/file";
import { OpenFile, shmemVmOps, type TmpfsPages } from "@hetmem/page-cache";
import type { MemoryDirectory, MemoryFile, Vfs } from "@hetmem/vfs";

export class MappedFiles {
  readonly #vfs: Vfs;
  readonly #pages: TmpfsPages;
  readonly #openDevice: (path: string) => FileObject | undefined;

  /** @param openDevice a device that can be mapped, by its path; undefined for any other file */
  constructor(vfs: Vfs, pages: TmpfsPages, openDevice: (path: string) => FileObject | undefined) {
    this.#vfs = vfs;
    this.#pages = pages;
    this.#openDevice = openDevice;
  }

  /** @throws KernelError ENOENT, ENOTDIR, EISDIR; ENODEV for a file that is rendered; and what `use` throws */
  *withFile<T>(path: string, use: (file: FileObject) => Sleeps<T>): Sleeps<T> {
    const device = this.#openDevice(path);
    if (device) return yield* use(device);
    const inode = this.#pages.inode(this.#find(path).inode);
    const open = new OpenFile(inode, { path: this.#vfs.realpath(path), writable: true, vmOps: shmemVmOps });
    try {
      return yield* use(open);
    } finally {
      yield* open.close();
    }
  }

  /** The path of a file by its pages; undefined when they are of none in /tmp. */
  pathOf(inode: MappedFile): string | undefined {
    return this.#pathBelow("", this.#vfs.memory.root, inode);
  }

  #pathBelow(path: string, { children }: MemoryDirectory, inode: MappedFile): string | undefined {
    for (const [name, entry] of children) {
      const at = `${path}/${name}`;
      if (entry.kind === "directory") {
        const found = this.#pathBelow(at, entry, inode);
        if (found !== undefined) return found;
      } else if (this.#pages.isFile(entry.inode, inode)) return at;
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
