// Plain files that live in memory: what / and /tmp are made of. The file system is the root of a Vfs; tables are
// mounted over it. Whoever models the page cache hears how many bytes each file holds. Kernel counterpart: mm/shmem.c.
import { KernelError } from "@hetmem/kernel";

/** A port: who keeps the pages of the files. May refuse with ENOSPC or ENOMEM, and then the file stays as it was. */
export interface FilePages {
  /** The file holds this many bytes from now on; zero frees its pages. @see shmem_get_folio(), shmem_undo_range() in mm/shmem.c */
  resize(inode: number, bytes: number): void;
}

export interface MemoryFile {
  readonly kind: "file";
  readonly inode: number;
  text: string;
}

export interface MemoryDirectory {
  readonly kind: "directory";
  readonly children: Map<string, MemoryFile | MemoryDirectory>;
}

const NO_PAGES: FilePages = { resize: () => {} };

export class MemoryFiles {
  readonly root: MemoryDirectory = { kind: "directory", children: new Map() };
  readonly #pages: FilePages;
  #nextInode = 2;

  constructor(pages: FilePages = NO_PAGES) {
    this.#pages = pages;
  }

  create(directory: MemoryDirectory, name: string): MemoryFile {
    const file: MemoryFile = { kind: "file", inode: this.#nextInode++, text: "" };
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
    if (entry?.kind === "file") this.setText(entry, "");
    directory.children.delete(name);
  }

  /** Replaces what the file holds. @throws what the port throws, with the file unchanged */
  setText(file: MemoryFile, text: string): void {
    if (text.length !== file.text.length) this.#pages.resize(file.inode, text.length);
    file.text = text;
  }
}
