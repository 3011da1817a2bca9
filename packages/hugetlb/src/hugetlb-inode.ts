// The file behind a mapping of huge pages: nobody can open it, and it ends with its last mapping. What a shared mapping
// has touched is in it; a private mapping's pages are its own. Kernel counterpart: fs/hugetlbfs/inode.c, the internal
// mount of it.
import { KernelBug, KernelError, Mutex, type Page } from "@hetmem/kernel";
import type { Vm, Vma } from "@hetmem/mm";
import type { AddressSpace, AddressSpaceOperations } from "@hetmem/mm/file";
import { Inode } from "@hetmem/page-cache";
import { hugetlbPool } from "./hugetlb-pool.ts";

const DEVICE = { major: 0, minor: 15 };

export class HugetlbInode extends Inode {
  /** By place, in huge pages: each holds a reference. */
  readonly hugePages: Map<number, Page> = new Map();
  /** Places that a page was promised for, or has been had. @see inode_resv_map() */
  readonly reserved: Set<number> = new Set();
  /** One fault at a time: a second one for the last page would find none, and kill its process for nothing. @see hugetlb_fault_mutex_table */
  readonly faultMutex: Mutex;

  /** @param bytes whole huge pages */
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

/** @throws KernelBug for a mapping of another kind */
export function hugetlbInode({ file }: Vma): HugetlbInode {
  const host = file?.mapping?.host;
  if (!(host instanceof HugetlbInode)) throw new KernelBug("a mapping of huge pages has no file of them");
  return host;
}

/** Its pages aren't in the page cache: nobody reads or writes the file but through mappings. @see hugetlbfs_aops */
const operations: AddressSpaceOperations = {
  canWriteback: false,
  readBegin: noAccess,
  writeBegin: noAccess,
  writepage: noAccess,
  evict,
};

function noAccess(): never {
  throw new KernelBug("a file of huge pages that nobody can open is read or written");
}

/** @see hugetlbfs_evict_inode() */
function evict({ host, vm }: AddressSpace): void {
  if (!(host instanceof HugetlbInode)) return;
  const { hugePages, reserved } = host;
  for (const page of hugePages.values()) {
    // Who has pinned it may hold it for longer than the file is there.
    vm.memmap.setMapping(page, 0);
    vm.memmap.putPage(page);
  }
  hugetlbPool(vm).unreserve(reserved.size - hugePages.size);
  hugePages.clear();
  reserved.clear();
}
