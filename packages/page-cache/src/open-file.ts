// An open file: the argument of read(2), write(2) and mmap(2). Its inode lives while it has a name, is open, or is
// mapped; the last of the three to go frees its pages. Kernel counterparts: struct file in include/linux/fs.h, __fput()
// in fs/file_table.c, evict() in fs/inode.c.
import { acrossCopies, KernelBug, type Sleeps } from "@hetmem/kernel";
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

/** An open file. @see struct file */
export class OpenFile implements FileObject {
  static {
    acrossCopies(this, "OpenFile");
  }

  readonly path: string;
  readonly writable: boolean;
  readonly vmOps: VmOperations;
  readonly host: Inode;
  /** Position, in bytes, behind the last read; -1 before the first. @see prev_pos of struct file_ra_state */
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

  /** Checks a new mapping against the seals of the file. @throws KernelError EPERM if a seal forbids the mapping */
  mmap(vma: Vma): void | Sleeps<void> {
    this.host.checkMmap(vma);
  }

  *readAhead(first: number, count: number, mm: MmStruct): Sleeps<void> {
    if (this.mapping.canWriteback) yield* readAhead(this.mapping, first, count, mm);
  }

  /**
   * Punches a hole. The inode counts as open meanwhile, since the caller's mapping, and with it the last user, may go.
   */
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

  /**
   * Closes the descriptor. Mappings stay.
   *
   * @throws KernelBug if it is closed already
   * @see filp_close()
   */
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

/** Removes the name of a file. Its pages are freed with its last open file and mapping. @see unlink(2) */
export function* unlinkInode(inode: Inode): Sleeps<void> {
  inode.linked = false;
  yield* putInode(inode);
}

/** Evicts an inode that has no name, no open file and no mapping. @see iput(), evict() */
function* putInode(inode: Inode): Sleeps<void> {
  const { mapping } = inode;
  if (inode.linked || inode.opens > 0 || mapping.iMmap.size > 0) return;
  // The inode counts as linked from here on: another call while this one sleeps must not evict it again.
  inode.linked = true;
  inode.size = 0;
  yield* truncateInodePages(mapping, 0, Number.POSITIVE_INFINITY);
  mapping.ops.evict?.(mapping);
  mapping.vm.mappings.remove(mapping);
}
