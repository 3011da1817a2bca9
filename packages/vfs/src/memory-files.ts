// Plain files in memory, as in / and /tmp. MemoryFiles is the root of a Vfs; tables are mounted over them. The port
// FilePages stores the bytes of the files. Kernel counterpart: mm/shmem.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { KeptBytes } from "./kept-bytes.ts";

/** Port: stores the bytes of files by inode number. A number never written to is an empty file. */
export interface FilePages {
  /** The file's size in bytes. */
  size(inode: number): number;
  /** Up to `length` bytes from `offset` on, fewer at the end. @throws KernelError ENOMEM, EIO */
  read(inode: number, offset: number, length: number): Sleeps<Uint8Array>;
  /**
   * Writes bytes from `offset` on. The file grows as needed; a gap between its old end and `offset` reads as zeros.
   *
   * @returns the number of bytes written: at least one, fewer than given when the room ends within them
   * @throws KernelError ENOSPC, ENOMEM, EIO when none could be written; EFBIG at the largest size of a file
   */
  write(inode: number, offset: number, bytes: Uint8Array): Sleeps<number>;
  /** Sets the file's size to `bytes` and drops the bytes behind it. @see truncate_setsize() in mm/truncate.c */
  truncate(inode: number, bytes: number): void;
  /**
   * The file has lost its name. Its bytes are freed once no address space maps them.
   *
   * @see shmem_unlink() in mm/shmem.c
   */
  unlink(inode: number): void;
}

export interface MemoryFile {
  readonly kind: "file";
  readonly inode: number;
}

export interface MemoryDirectory {
  readonly kind: "directory";
  readonly children: Map<string, MemoryFile | MemoryDirectory>;
}

export class MemoryFiles {
  readonly root: MemoryDirectory = { kind: "directory", children: new Map() };
  readonly pages: FilePages;
  #nextInode = 2;

  constructor(pages: FilePages = new KeptBytes()) {
    this.pages = pages;
  }

  create(directory: MemoryDirectory, name: string): MemoryFile {
    const file: MemoryFile = { kind: "file", inode: this.#nextInode++ };
    directory.children.set(name, file);
    return file;
  }

  mkdir(directory: MemoryDirectory, name: string): void {
    directory.children.set(name, { kind: "directory", children: new Map() });
  }

  /** @throws KernelError ENOTEMPTY */
  remove(directory: MemoryDirectory, name: string): void {
    const entry = directory.children.get(name);
    if (entry?.kind === "directory" && entry.children.size > 0) {
      throw new KernelError(
        "ENOTEMPTY",
        `${name} still has ${entry.children.size} entries: remove them first`,
      );
    }
    directory.children.delete(name);
    if (entry?.kind === "file") this.pages.unlink(entry.inode);
  }
}
