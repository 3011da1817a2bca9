// Plain files that live in memory: what / and /tmp are made of. The file system is the root of a Vfs; tables are
// mounted over it. A port keeps the bytes of the files. Kernel counterpart: mm/shmem.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { KeptBytes } from "./kept-bytes.ts";

/** A port: what keeps the bytes of the files, each by its number. A number that is new to it is an empty file. */
export interface FilePages {
  /** Bytes of the file. */
  size(inode: number): number;
  /** Up to `length` bytes from `offset` on, fewer at the end. @throws KernelError ENOMEM, EIO */
  read(inode: number, offset: number, length: number): Sleeps<Uint8Array>;
  /**
   * Writes bytes from `offset` on; the file grows as needed, and what it jumps over reads as zeros.
   *
   * @returns how many: fewer when the room ends behind the first, at least one
   * @throws KernelError ENOSPC, ENOMEM, EIO when none could be written; EFBIG at the end of what a file can be
   */
  write(inode: number, offset: number, bytes: Uint8Array): Sleeps<number>;
  /** The file ends after so many bytes. @see truncate_setsize() in mm/truncate.c */
  truncate(inode: number, bytes: number): void;
  /** The file loses its name, and its bytes go with the last that maps them. @see shmem_unlink() in mm/shmem.c */
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
