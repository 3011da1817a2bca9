// Pages of the machine for the files of the shell's /tmp: their text is the vfs's, their memory is a tmpfs's. So a
// large file there is seen in /proc/meminfo, goes to swap when memory is short, and meets ENOSPC. Kernel counterpart:
// mm/shmem.c.
import { run } from "@hetmem/kernel";
import type { FilePages } from "@hetmem/vfs";
import type { MmStruct } from "../mm-struct.ts";
import type { Vm } from "../vm.ts";
import { unlinkInode } from "./open-file.ts";
import { createShmemInode, shmemFallocate } from "./shmem.ts";
import { type ShmemInode, ShmemMount } from "./shmem-inode.ts";
import { truncate } from "./truncate.ts";

/**
 * Keeps the files of a vfs in memory, as a tmpfs does that is mounted with its default size: half of the machine's memory.
 *
 * @see shmem_default_max_blocks()
 */
export class TmpfsPages implements FilePages {
  readonly mount: ShmemMount;
  private readonly vm: Vm;
  private readonly writer: () => MmStruct | undefined;
  private readonly inodes = new Map<number, ShmemInode>();

  /**
   * @param maxPages that its files may have together
   * @param writer who writes, and pays for the pages; nobody where absent
   */
  constructor(vm: Vm, maxPages: number, writer: () => MmStruct | undefined = () => undefined) {
    this.vm = vm;
    this.writer = writer;
    this.mount = new ShmemMount({ major: 0, minor: 25 }, maxPages);
  }

  /** The file with that number in the vfs; undefined as long as it is empty. */
  inode(number: number): ShmemInode | undefined {
    return this.inodes.get(number);
  }

  /** Nobody else knows these files, so nobody is there whom this would have to wait for. @throws KernelError ENOSPC, ENOMEM */
  resize(inode: number, bytes: number): void {
    const file = this.inodes.get(inode);
    if (bytes === 0) {
      this.inodes.delete(inode);
      if (file) run(unlinkInode(file));
      return;
    }
    const known = file ?? createShmemInode(this.vm, this.mount);
    if (bytes > known.size) run(shmemFallocate(known, known.size, bytes, this.writer()));
    else run(truncate(known, bytes, this.writer()));
    this.inodes.set(inode, known);
  }
}
