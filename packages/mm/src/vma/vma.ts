// A mapping of an address space: a range of addresses, what it allows, and what stands behind it. Kernel counterpart:
// struct vm_area_struct in include/linux/mm_types.h, struct vm_operations_struct in include/linux/mm.h.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { VmFault } from "../fault/vm-fault.ts";
import type { FileObject } from "../file/file-object.ts";
import type { MemPolicy } from "../policy/mempolicy.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import { VmFlag } from "./vm-flags.ts";

/** What a driver or a file system does for its mappings. All may be absent. @see struct vm_operations_struct */
export interface VmOperations {
  /** Called for each mapping that comes to be by a fork, a split or a move. */
  open?(vma: Vma): void;
  /** Called for each that goes. */
  close?(vma: Vma): void;
  /** @throws KernelError EINVAL when the mapping can't be divided at this address */
  maySplit?(vma: Vma, address: VirtAddr): void;
  /** @throws KernelError when mremap() must not move it */
  mremap?(vma: Vma): void;
  /** Finds the page of a fault: puts it, referenced and locked, in fault.page and says LOCKED; or maps it itself and says NOPAGE. */
  fault?(fault: FaultContext): Sleeps<VmFault>;
  /** The same for 2 MiB; FALLBACK asks for small pages. @see huge_fault() */
  hugeFault?(fault: FaultContext): Sleeps<VmFault>;
  /** Maps pages around that are there already; atomic. @see map_pages() */
  mapPages?(fault: FaultContext, first: number, last: number): VmFault;
  /** A read-only page of a shared mapping is about to be written. Comes back with the page locked. */
  pageMkwrite?(fault: FaultContext): Sleeps<VmFault>;
  /** The same for frames without struct pages. */
  pfnMkwrite?(fault: FaultContext): Sleeps<VmFault>;
  /** What /proc/PID/maps calls it. */
  name?(vma: Vma): string;
}

/** One fault on its way. @see struct vm_fault */
export interface FaultContext {
  readonly vma: Vma;
  /** First byte of the page. */
  readonly address: VirtAddr;
  /** The byte that was touched. */
  readonly realAddress: VirtAddr;
  /** FaultFlag bits. */
  readonly flags: number;
  /** Page of the file, or of the anonymous mapping. */
  readonly pgoff: number;
  /** Entry of the page table for the address, NO_ENTRY while no table reaches it; and what it held when the fault began. */
  entry: number;
  origValue: number;
  origFlags: number;
  /** What the handler found, NULL_PAGE until then. */
  page: Page;
  /** Where a private mapping's copy goes, NULL_PAGE when none is made. */
  cowPage: Page;
}

export class Vma {
  readonly mm: MmStruct;
  start: VirtAddr;
  /** First byte behind it. */
  end: VirtAddr;
  /** VmFlag bits. */
  flags: number;
  /** Page of the file at `start`; of anonymous memory, the page number it was mapped at. */
  pgoff: number;
  file: FileObject | undefined;
  ops: VmOperations | undefined;
  /** Whose pages those are that this mapping alone has written. */
  anonVma: AnonVma | undefined = undefined;
  /** All that may hold pages of it: its own and those of its ancestors. @see anon_vma_chain */
  anonVmaChain: AnonVma[] = [];
  policy: MemPolicy | undefined = undefined;
  /** Of the driver that made the mapping. @see vm_private_data */
  private: unknown = undefined;

  constructor(mm: MmStruct, start: VirtAddr, end: VirtAddr, flags: number, pgoff: number) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.flags = flags;
    this.pgoff = pgoff;
  }

  /** @see vma_pages() */
  get pages(): number {
    return (this.end - this.start) / 4096;
  }

  /** First page of the mapped object behind it. @see vma_last_pgoff() */
  get lastPgoff(): number {
    return this.pgoff + this.pages - 1;
  }

  /** @see vma_is_anonymous() */
  get anonymous(): boolean {
    return this.ops === undefined;
  }

  /** Page of the mapped object at an address. @see linear_page_index() */
  pgoffOf(address: VirtAddr): number {
    return this.pgoff + Math.floor((address - this.start) / 4096);
  }

  /** Where a page of the mapped object is mapped, whether or not that is inside. */
  addressOf(pgoff: number): VirtAddr {
    return (this.start + (pgoff - this.pgoff) * 4096) as VirtAddr;
  }
}

/** Whether a mapping is one of huge pages of the pool. @see is_vm_hugetlb_page() */
export function isVmHugetlbPage({ flags }: Vma): boolean {
  return (flags & VmFlag.HUGETLB) !== 0;
}

/** For messages: its addresses, what it allows, and what it maps. */
export function describeVma({ start, end, flags, file }: Vma): string {
  const allowed = [
    flags & VmFlag.READ ? "r" : "-",
    flags & VmFlag.WRITE ? "w" : "-",
    flags & VmFlag.EXEC ? "x" : "-",
    flags & VmFlag.SHARED ? "s" : "p",
  ].join("");
  return `mapping 0x${start.toString(16)}-0x${end.toString(16)} ${allowed}${file ? ` of ${file.path}` : ""}`;
}
