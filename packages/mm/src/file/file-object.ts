// Port: the file that a mapping maps, an open file with an address space or a device with a driver. Mappings know
// nothing else about files: the page cache and drivers implement this interface. Kernel counterparts: struct file and
// struct file_operations in include/linux/fs.h.
import type { Sleeps } from "@hetmem/kernel";
import type { Vma, VmOperations } from "../vma/vma.ts";
import type { AddressSpace } from "./address-space.ts";
import type { MmStruct } from "../mm-struct.ts";

export interface FileObject {
  /** The path in /proc/PID/maps. For a memfd `/memfd:name (deleted)`. */
  readonly path: string;
  readonly inode: number;
  readonly device: { readonly major: number; readonly minor: number };
  /** Whether the file is open for writing, so that shared mappings may be writable. */
  readonly writable: boolean;
  /** Undefined for a device whose mappings have no page cache. */
  readonly mapping: AddressSpace | undefined;
  /** Operations of the file's mappings. */
  readonly vmOps: VmOperations;
  /** VmFlag bits that the driver sets on every mapping. */
  readonly vmFlags?: number;
  /** Flags of mmap() that the file supports beyond LEGACY_MAP_MASK: MapFlag.SYNC. @see mmap_supported_flags */
  readonly mmapSupportedFlags?: number;
  /** Alignment of mappings in bytes: 2 MiB, so that huge entries fit. @see thp_get_unmapped_area() */
  readonly mapAlignment?: number;
  /**
   * Called by mmap() for each new mapping. May set its flags, its operations and its entries, and may sleep.
   *
   * @throws KernelError any errno, which mmap() returns
   */
  mmap?(vma: Vma): void | Sleeps<void>;
  /**
   * Reads pages ahead as long as memory is free.
   *
   * @param first page offset in the file
   * @see vfs_fadvise()
   */
  readAhead?(first: number, count: number, mm: MmStruct): Sleeps<void>;
  /**
   * Removes the bytes [from, to), which read as zeros afterwards.
   *
   * @throws KernelError EPERM where a seal forbids it
   * @see vfs_fallocate()
   */
  punchHole?(from: number, to: number, mm: MmStruct): Sleeps<void>;
  /** Called after a mapping and its entries were removed. The last one may end the file. @see fput() */
  unmapped?(): Sleeps<void>;
}
