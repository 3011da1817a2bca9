// An open file of the page cache: what read(2), write(2) and mmap() are given. The inode lives for as long as it has a
// name, is open, or is mapped; its last user takes its pages along. Kernel counterparts: struct file in include/linux/fs.h,
// __fput() in fs/file_table.c, evict() in fs/inode.c.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import type { MmStruct, Vma, VmOperations } from "@hetmem/mm";
import type { AddressSpace, DeviceId, FileObject } from "@hetmem/mm/file";
import type { Inode } from "./inode.ts";
import { readAhead } from "./read-page.ts";
import { punchHole, truncateInodePages } from "./truncate.ts";

export interface OpenFileOptions {
  readonly path: string;
  readonly writable: boolean;
  readonly vmOps: VmOperations;
}

export class OpenFile implements FileObject {
  readonly path: string;
  readonly writable: boolean;
  readonly vmOps: VmOperations;
  readonly host: Inode;
  /** Bytes of the file up to the end of the last read; -1 before the first. @see prev_pos of struct file_ra_state */
  prevPosition = -1;
  private open = true;

  constructor(host: Inode, { path, writable, vmOps }: OpenFileOptions) {
    this.path = path;
    this.writable = writable;
    this.vmOps = vmOps;
    this.host = host;
    host.opens++;
  }

  get inode(): number {
    return this.host.number;
  }

  get device(): DeviceId {
    return this.host.device;
  }

  get mapping(): AddressSpace {
    return this.host.mapping;
  }

  /** @throws KernelError EPERM where a seal forbids it */
  mmap(vma: Vma): void | Sleeps<void> {
    this.host.checkMmap(vma);
  }

  *readAhead(first: number, count: number, mm: MmStruct): Sleeps<void> {
    if (this.mapping.canWriteback) yield* readAhead(this.mapping, first, count, mm);
  }

  /** The mapping may go meanwhile, the file stays until its hole is punched. */
  *punchHole(from: number, to: number, mm: MmStruct): Sleeps<void> {
    const { host } = this;
    host.opens++;
    try {
      yield* punchHole(host, from, to, mm);
    } finally {
      host.opens--;
      yield* putInode(host);
    }
  }

  /** The descriptor is closed; mappings stay. @throws KernelBug when it was closed before @see filp_close() */
  *close(): Sleeps<void> {
    if (!this.open) throw new KernelBug(`${this.path} is closed twice`);
    this.open = false;
    this.host.opens--;
    yield* putInode(this.host);
  }

  *unmapped(): Sleeps<void> {
    yield* putInode(this.host);
  }
}

/** The file loses its name: it ends with its last user. @see unlink(2) */
export function* unlinkInode(inode: Inode): Sleeps<void> {
  inode.linked = false;
  yield* putInode(inode);
}

/** Ends a file that nobody can reach any more. @see iput(), evict() */
function* putInode(inode: Inode): Sleeps<void> {
  const { mapping } = inode;
  if (inode.linked || inode.opens > 0 || mapping.iMmap.size > 0) return;
  // So that nobody else ends it meanwhile.
  inode.linked = true;
  inode.size = 0;
  yield* truncateInodePages(mapping, 0, Number.POSITIVE_INFINITY);
  mapping.ops.evict?.(mapping);
  mapping.vm.mappings.remove(mapping);
}
