// A mapping of an address space: a range of addresses, the access it allows, and the file or anonymous memory that it
// maps. VmOperations is the port through which file systems and drivers serve the faults of their mappings. Kernel
// counterparts: struct vm_area_struct in include/linux/mm_types.h, struct vm_operations_struct in include/linux/mm.h.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { VmFault } from "../fault/vm-fault.ts";
import type { FileObject } from "../file/file-object.ts";
import type { MemPolicy } from "../policy/mempolicy.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import { VmFlag } from "./vm-flags.ts";

/**
 * Callbacks of a file system or a driver for its mappings. Every callback is optional.
 *
 * @see struct vm_operations_struct
 */
export interface VmOperations {
  /** Called for each new mapping that a fork, a split or a move makes. */
  open?(vma: Vma): void;
  /** Called for each mapping that is removed. */
  close?(vma: Vma): void;
  /** @throws KernelError EINVAL when the mapping can't be divided at this address */
  maySplit?(vma: Vma, address: VirtAddr): void;
  /** @throws KernelError when the driver refuses to have the mapping moved */
  mremap?(vma: Vma): void;
  /**
   * Serves a fault on an absent page. Either stores the page, referenced and locked, in `fault.page` and returns
   * LOCKED, or maps the page itself and returns NOPAGE.
   *
   * @see fault() of struct vm_operations_struct
   */
  fault?(fault: FaultContext): Sleeps<VmFault>;
  /** Serves a fault with a mapping of 2 MiB. FALLBACK makes the fault continue with small pages. @see huge_fault() */
  hugeFault?(fault: FaultContext): Sleeps<VmFault>;
  /**
   * Maps pages around the fault that are in the page cache. Atomic.
   *
   * @param first page offset in the file of the first page to map
   * @param last page offset of the last one
   * @see map_pages()
   */
  mapPages?(fault: FaultContext, first: number, last: number): VmFault;
  /**
   * Called before the first write to a read-only page of a shared mapping. Returns with the page locked.
   *
   * @see page_mkwrite()
   */
  pageMkwrite?(fault: FaultContext): Sleeps<VmFault>;
  /** pageMkwrite() for frames without struct pages. @see pfn_mkwrite() */
  pfnMkwrite?(fault: FaultContext): Sleeps<VmFault>;
  /** The name of the mapping in /proc/PID/maps. */
  name?(vma: Vma): string;
}

/** The state of one fault. @see struct vm_fault */
export interface FaultContext {
  readonly vma: Vma;
  /** First byte of the page. */
  readonly address: VirtAddr;
  /** The address of the access that faulted, to the byte. */
  readonly realAddress: VirtAddr;
  /** FaultFlag bits. */
  readonly flags: number;
  /** Page offset of the address in the file, or in the anonymous mapping. */
  readonly pgoff: number;
  /** The page table entry of the address; NO_ENTRY while no page table covers the address. @see pte */
  entry: number;
  origValue: number;
  origFlags: number;
  /** The page that the handler found; NULL_PAGE until then. */
  page: Page;
  /** The page that a private mapping copies into; NULL_PAGE when the fault makes no copy. @see cow_page */
  cowPage: Page;
}

/** A mapping of an address space. @see struct vm_area_struct */
export class Vma {
  readonly mm: MmStruct;
  start: VirtAddr;
  /** First byte after the mapping. */
  end: VirtAddr;
  /** VmFlag bits. */
  flags: number;
  /**
   * Page offset in the file of `start`. For anonymous memory, the page number of the address it was first mapped at.
   */
  pgoff: number;
  file: FileObject | undefined;
  ops: VmOperations | undefined;
  /** The anon_vma of the pages that this mapping has written. @see anon_vma */
  anonVma: AnonVma | undefined = undefined;
  /** Every anon_vma that may hold pages of this mapping: its own and those of its ancestors. @see anon_vma_chain */
  anonVmaChain: AnonVma[] = [];
  policy: MemPolicy | undefined = undefined;
  /** Private data of the driver that made the mapping. @see vm_private_data */
  private: unknown = undefined;

  constructor(mm: MmStruct, start: VirtAddr, end: VirtAddr, flags: number, pgoff: number) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.flags = flags;
    this.pgoff = pgoff;
  }

  /** Size in pages. @see vma_pages() */
  get pages(): number {
    return (this.end - this.start) / 4096;
  }

  /** Page offset of the last page of the mapping. @see vma_last_pgoff() */
  get lastPgoff(): number {
    return this.pgoff + this.pages - 1;
  }

  /** @see vma_is_anonymous() */
  get anonymous(): boolean {
    return this.ops === undefined;
  }

  /** Page offset in the mapped object of an address. @see linear_page_index() */
  pgoffOf(address: VirtAddr): number {
    return this.pgoff + Math.floor((address - this.start) / 4096);
  }

  /** Address of a page of the mapped object. The address may lie outside the mapping. @see vma_address() */
  addressOf(pgoff: number): VirtAddr {
    return (this.start + (pgoff - this.pgoff) * 4096) as VirtAddr;
  }
}

/** Whether a mapping maps huge pages of the pool. @see is_vm_hugetlb_page() */
export function isVmHugetlbPage({ flags }: Vma): boolean {
  return (flags & VmFlag.HUGETLB) !== 0;
}

/** A mapping for messages: its addresses, access bits and file. */
export function describeVma({ start, end, flags, file }: Vma): string {
  const allowed = [
    flags & VmFlag.READ ? "r" : "-",
    flags & VmFlag.WRITE ? "w" : "-",
    flags & VmFlag.EXEC ? "x" : "-",
    flags & VmFlag.SHARED ? "s" : "p",
  ].join("");
  return `mapping 0x${start.toString(16)}-0x${end.toString(16)} ${allowed}${file ? ` of ${file.path}` : ""}`;
}
