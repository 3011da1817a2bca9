// What a process maps when it maps a file: an open file, whose pages are an address space's, or a device, whose driver
// does as it likes. The mappings of an address space know nothing else of files. Kernel counterparts: struct file and
// struct file_operations in include/linux/fs.h.
import type { Sleeps } from "@hetmem/kernel";
import type { Vma, VmOperations } from "../vma/vma.ts";
import type { AddressSpace } from "./address-space.ts";
import type { MmStruct } from "../mm-struct.ts";

export interface FileObject {
  /** As /proc/PID/maps prints it; a memfd is `/memfd:name (deleted)`. */
  readonly path: string;
  readonly inode: number;
  readonly device: { readonly major: number; readonly minor: number };
  /** Whether it was opened for writing: a shared mapping may be writable then. */
  readonly writable: boolean;
  /** Undefined for a device whose mappings have no pages of a file. */
  readonly mapping: AddressSpace | undefined;
  /** What its mappings do. */
  readonly vmOps: VmOperations;
  /** VmFlag bits that the driver sets on a mapping of it. */
  readonly vmFlags?: number;
  /** Flags of mmap() that it knows beyond the old ones: MapFlag.SYNC. @see mmap_supported_flags */
  readonly mmapSupportedFlags?: number;
  /** Bytes to which its mappings are aligned, so that huge pages fit: 2 MiB. @see thp_get_unmapped_area() */
  readonly mapAlignment?: number;
  /** Looks at a mapping that mmap() is about to make, whose flags, operations and entries it may set, at once or after a sleep. @throws KernelError as the driver's mmap does */
  mmap?(vma: Vma): void | Sleeps<void>;
  /** Begins to read pages of the file, for as long as memory is free. @param first page of the file @see vfs_fadvise() */
  readAhead?(first: number, count: number, mm: MmStruct): Sleeps<void>;
  /** The bytes [from, to) of the file read as zeros from then on. @throws KernelError EPERM where a seal forbids it @see vfs_fallocate() */
  punchHole?(from: number, to: number, mm: MmStruct): Sleeps<void>;
  /** A mapping of it has gone for good, with its entries: the last one's end may be the end of the file and its pages. @see fput() */
  unmapped?(): Sleeps<void>;
}
