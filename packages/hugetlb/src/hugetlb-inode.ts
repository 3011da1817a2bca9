// The unnamed file of a mapping of huge pages, which goes with its last mapping. The file holds the pages that shared
// mappings have touched; a private mapping's pages are its own. Kernel counterpart: fs/hugetlbfs/inode.c with its
// internal mount.
import { KernelBug, KernelError, Mutex, type Page } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import type { AddressSpace, AddressSpaceOperations } from "@hetmem/mm/file";
import { Inode } from "@hetmem/page-cache";
import { hugetlbPool } from "./hugetlb-pool.ts";

/** Device number of the internal mount of hugetlbfs. */
const DEVICE = { major: 0, minor: 15 };

/** The file of a mapping of huge pages. @see struct hugetlbfs_inode_info */
export class HugetlbInode extends Inode {
  /** Pages of the file by index, in huge pages. The file holds a reference to each. */
  readonly hugePages: Map<number, Page> = new Map();
  /** Indexes, in huge pages, with a reservation or a page. @see inode_resv_map() */
  readonly reserved: Set<number> = new Set();
  /**
   * Serialises faults on the file. Of two faults at the same address, the second would otherwise find the last page of
   * the pool taken, and get SIGBUS although its page is about to be mapped.
   *
   * @see hugetlb_fault_mutex_table
   */
  readonly faultMutex: Mutex;

  /**
   * @param vm the machine's memory
   * @param bytes size of the file, a multiple of 2 MiB
   */
  constructor(vm: Vm, bytes: number) {
    super(vm, hugetlbPool(vm).nextInode(), DEVICE, operations);
    this.size = bytes;
    this.linked = false;
    this.faultMutex = new Mutex(vm.kernel.lockdep, `hugetlb fault mutex of file ${this.mapping.id}`);
  }

  override checkPunch(): void {
    throw new KernelError("EOPNOTSUPP", "holes in files of huge pages are not modelled: unmap the file");
  }
}

/** The file that a VMA maps. @throws KernelBug if the VMA maps no file of huge pages */
export function hugetlbInode({ file }: Vma): HugetlbInode {
  const host = file?.mapping?.host;
  if (!(host instanceof HugetlbInode)) throw new KernelBug("a mapping of huge pages has no file of them");
  return host;
}

/**
 * The operations of such a file. Its pages aren't in the page cache, and only mappings access them.
 *
 * @see hugetlbfs_aops
 */
const operations: AddressSpaceOperations = {
  canWriteback: false,
  readBegin: noAccess,
  writeBegin: noAccess,
  writepage: noAccess,
  evict,
};

function noAccess(): never {
  throw new KernelBug("a file of huge pages without a descriptor is read or written");
}

/** Frees the pages and the reservations of a file. @see hugetlbfs_evict_inode() */
function evict({ host, vm }: AddressSpace): void {
  if (!(host instanceof HugetlbInode)) return;
  const { hugePages, reserved } = host;
  for (const page of hugePages.values()) {
    // A pin may keep the page beyond the file: it no longer has a mapping then.
    vm.memmap.setMapping(page, 0);
    vm.memmap.putPage(page);
  }
  hugetlbPool(vm).unreserve(reserved.size - hugePages.size);
  hugePages.clear();
  reserved.clear();
}
