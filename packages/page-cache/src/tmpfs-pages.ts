// Pages for the files in the shell's /tmp. The vfs has the names; the bytes are in pages of a tmpfs. A large file there
// shows in /proc/meminfo, goes to swap when memory is short, and gets ENOSPC.
// Kernel counterpart: mm/shmem.c.
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
 * Port implementation: keeps the contents of files of a vfs in pages of a tmpfs. A tmpfs has half of the machine's
 * memory by default.
 *
 * @see shmem_default_max_blocks()
 */
export class TmpfsPages implements FilePages {
  readonly mount: ShmemMount;
  private readonly vm: Vm;
  private readonly writer: () => MmStruct | undefined;
  private readonly files = new Map<number, TmpfsFile>();

  /**
   * @param vm the machine's memory
   * @param maxPages pages that the files may have together
   * @param writer returns the address space that is charged for new pages; undefined: the kernel itself
   */
  constructor(vm: Vm, maxPages: number, writer: () => MmStruct | undefined = () => undefined) {
    this.vm = vm;
    this.writer = writer;
    this.mount = new ShmemMount({ major: 0, minor: 25 }, maxPages);
  }

  /** The inode of a file, made if it doesn't exist. @param number number of the file in the vfs */
  inode(number: number): ShmemInode {
    return this.file(number).inode;
  }

  /** Whether an inode is that of the file with the number. */
  isFile(number: number, inode: MappedFile): boolean {
    return this.files.get(number)?.inode === inode;
  }

  size(number: number): number {
    return this.files.get(number)?.inode.size ?? 0;
  }

  /**
   * Reads bytes of a file.
   *
   * @param number number of the file in the vfs
   * @param offset first byte
   * @param length bytes
   * @throws KernelError ENOMEM; EIO for a page with a memory error
   * @see shmem_file_read_iter()
   */
  *read(number: number, offset: number, length: number): Sleeps<Uint8Array> {
    const file = this.files.get(number);
    return file ? yield* fileRead(file.open, offset, length, this.writer()) : new Uint8Array(0);
  }

  /**
   * Writes bytes to a file.
   *
   * @param number number of the file in the vfs
   * @param offset first byte
   * @returns bytes written
   * @throws KernelError ENOSPC, ENOMEM or EIO if no byte was written; EINVAL behind the largest offset
   */
  *write(number: number, offset: number, bytes: Uint8Array): Sleeps<number> {
    return yield* fileWrite(this.file(number).open, offset, bytes, this.writer());
  }

  /**
   * Sets the size of a file, in bytes. Runs to its end at once: no other task changes these files, so that nothing is
   * waited for.
   */
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
