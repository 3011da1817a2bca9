// Pages of the machine for the files of the shell's /tmp: the names are the vfs's, the bytes are in pages of a tmpfs. So a
// large file there is seen in /proc/meminfo, goes to swap when memory is short, and meets ENOSPC. Kernel counterpart:
// mm/shmem.c.
import { run, type Sleeps } from "@hetmem/kernel";
import type { MmStruct, Vm } from "@hetmem/mm";
import type { MappedFile } from "@hetmem/mm/file";
import type { FilePages } from "@hetmem/vfs";
import { fileRead, fileWrite } from "./file-io.ts";
import { OpenFile, unlinkInode } from "./open-file.ts";
import { type ShmemInode, ShmemMount } from "./shmem-inode.ts";
import { createShmemInode, shmemVmOps } from "./shmem.ts";
import { truncate } from "./truncate.ts";

interface TmpfsFile {
  readonly inode: ShmemInode;
  readonly open: OpenFile;
}

/**
 * Keeps the files of a vfs in memory, as a tmpfs does that is mounted with its default size: half of the machine's memory.
 *
 * @see shmem_default_max_blocks()
 */
export class TmpfsPages implements FilePages {
  readonly mount: ShmemMount;
  private readonly vm: Vm;
  private readonly writer: () => MmStruct | undefined;
  private readonly files = new Map<number, TmpfsFile>();

  /**
   * @param maxPages that its files may have together
   * @param writer who writes, and pays for the pages; nobody where absent
   */
  constructor(vm: Vm, maxPages: number, writer: () => MmStruct | undefined = () => undefined) {
    this.vm = vm;
    this.writer = writer;
    this.mount = new ShmemMount({ major: 0, minor: 25 }, maxPages);
  }

  /** The file with that number in the vfs, empty where nothing was written to it. */
  inode(number: number): ShmemInode {
    return this.file(number).inode;
  }

  /** Whether that is the file with the number. */
  isFile(number: number, inode: MappedFile): boolean {
    return this.files.get(number)?.inode === inode;
  }

  size(number: number): number {
    return this.files.get(number)?.inode.size ?? 0;
  }

  /** @throws KernelError ENOMEM, EIO for a page that is bad @see shmem_file_read_iter() */
  *read(number: number, offset: number, length: number): Sleeps<Uint8Array> {
    const file = this.files.get(number);
    return file ? yield* fileRead(file.open, offset, length, this.writer()) : new Uint8Array(0);
  }

  /** @throws KernelError ENOSPC, ENOMEM, EIO, when not a byte could be written; EINVAL behind the largest offset */
  *write(number: number, offset: number, bytes: Uint8Array): Sleeps<number> {
    return yield* fileWrite(this.file(number).open, offset, bytes, this.writer());
  }

  /** Nobody is in the midst of a change to these files, so there is nobody whom this would have to wait for. */
  truncate(number: number, bytes: number): void {
    const file = this.files.get(number);
    if (file) run(truncate(file.inode, bytes, this.writer()));
  }

  unlink(number: number): void {
    const file = this.files.get(number);
    if (!file) return;
    this.files.delete(number);
    run(unlinkInode(file.inode));
    run(file.open.close());
  }

  private file(number: number): TmpfsFile {
    const known = this.files.get(number);
    if (known) return known;
    const inode = createShmemInode(this.vm, this.mount);
    const open = new OpenFile(inode, { path: "/tmp", writable: true, vmOps: shmemVmOps });
    const file = { inode, open };
    this.files.set(number, file);
    return file;
  }
}
