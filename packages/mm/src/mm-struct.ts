// An address space: its mappings, its page tables, and what is counted for it. Kernel counterpart: struct mm_struct in
// include/linux/mm_types.h.
import {
  KernelBug,
  type NodeId,
  type Page,
  RwSemaphore,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import type { NotifiedMm, NotifierSubscriptions } from "@hetmem/mmu-notifier";
import { NULL_PAGE } from "@hetmem/page";
import { Level, PageTable, type TablePages } from "@hetmem/page-table";
import { mmapAssertWriteLocked } from "./mmap-lock.ts";
import type { MemPolicy } from "./policy/mempolicy.ts";
import type { Cap } from "./process/credentials.ts";
import type { Process, ProcessRights } from "./process/process.ts";
import type { RlimitName } from "./process/rlimits.ts";
import type { Vm } from "./vm.ts";
import { mmTakeAllLocks } from "./vma/rmap-locks.ts";
import { VmaList } from "./vma/vma-list.ts";

/** What an address space's resident pages are. @see MM_FILEPAGES in include/linux/mm_types_task.h */
export const Rss = { file: 0, anon: 1, swapEntries: 2, shmem: 3 } as const;

export class MmStruct implements NotifiedMm {
  /** For locks and reports; never used twice. */
  readonly id: number;
  readonly vm: Vm;
  readonly vmas: VmaList = new VmaList();
  readonly pageTable: PageTable;
  /** @see mmap_lock */
  readonly mmapLock: RwSemaphore;
  /** Pages, by Rss. */
  readonly rss: Int32Array = new Int32Array(4);
  /** Tasks that run in it. The last one's exit takes it down. @see mm_users */
  users = 1;
  /** Pages mapped: all, locked, those of private writable data, of executable files, of stacks, pinned for long. */
  totalVm = 0;
  lockedVm = 0;
  dataVm = 0;
  execVm = 0;
  stackVm = 0;
  pinnedVm = 0;
  /** Pages of huge ones from the pool that it maps; they aren't resident. @see hugetlb_usage */
  hugetlbPages = 0;
  /** Peaks of resident and of mapped pages. @see update_hiwater_rss() */
  hiwaterRss = 0;
  hiwaterVm = 0;
  /** mmap() looks for room from here downwards. */
  mmapBase: VirtAddr = virtAddr(0x7fff_f000_0000);
  startBrk: VirtAddr = virtAddr(0);
  brk: VirtAddr = virtAddr(0);
  startStack: VirtAddr = virtAddr(0);
  /** The program's text: what VmExe counts. */
  startCode: VirtAddr = virtAddr(0);
  endCode: VirtAddr = virtAddr(0);
  /** VmFlag bits that every new mapping gets: mlockall(MCL_FUTURE). */
  defFlags = 0;
  /** The process that it is the memory of; undefined until there is one. @see mm->owner */
  owner: Process | undefined = undefined;
  /** Whom its pages are charged to, a number that PageCharging gives; 0: whoever pays for what is nobody else's. */
  payer: number;
  /** Where its task runs: pages come from near there. */
  node: NodeId;
  /** Task policy. @see set_mempolicy() */
  policy: MemPolicy | undefined = undefined;
  /** The node that its task took last where it interleaves; -1: none yet. @see il_prev */
  interleavePrev = -1;
  /** Where the next scan for NUMA hints begins. @see numa_scan_offset */
  numaScanOffset: VirtAddr = virtAddr(0);
  /** Who hears of changes; undefined as long as nobody asked. @see mm->notifier_subscriptions */
  notifiers: NotifierSubscriptions | undefined = undefined;
  /** Whether a page of it was ever pinned: fork looks then. @see MMF_HAS_PINNED */
  hasPinned = false;
  /** Odd while fork write-protects its pages: lockless pins keep out. @see write_protect_seq */
  writeProtectSeq = 0;
  /** The OOM killer has taken its pages: what is read now isn't what was written. @see MMF_UNSTABLE */
  unstable = false;
  /** Whether the OOM killer has chosen it, and whether its pages have been taken. @see TIF_MEMDIE, MMF_OOM_SKIP */
  oom: "none" | "victim" | "reaped" = "none";
  /** Its last user has gone. */
  dead = false;

  constructor(vm: Vm, id: number, node: NodeId, pageTable: PageTable, payer: number) {
    this.vm = vm;
    this.id = id;
    this.node = node;
    this.payer = payer;
    this.pageTable = pageTable;
    this.mmapLock = new RwSemaphore(vm.kernel.lockdep, `mmap_lock of mm ${id}`);
  }

  /** How much its process may have and do. */
  get rights(): ProcessRights {
    return this.owner ?? this.vm.processes.init;
  }

  /** The soft limit of a resource. @see rlimit() */
  rlimit(name: RlimitName): number {
    return this.rights.rlimits.get(name).soft;
  }

  /** Whether its process may do something that not everybody may. @see capable() */
  capable(capability: Cap): boolean {
    return this.rights.credentials.capable(capability);
  }

  takeAllLocks(): Sleeps<readonly RwSemaphore[]> {
    return mmTakeAllLocks(this);
  }

  assertWriteLocked(what: string): void {
    mmapAssertWriteLocked(this, what);
  }

  /** Resident pages of all kinds. @see get_mm_rss() */
  get rssPages(): number {
    const { rss } = this;
    return (rss[Rss.file] as number) + (rss[Rss.anon] as number) + (rss[Rss.shmem] as number);
  }

  /** @see update_hiwater_rss() */
  updateHiwaterRss(): void {
    this.hiwaterRss = Math.max(this.hiwaterRss, this.rssPages);
  }
}

/** The address space that a notifier hears of. @throws KernelBug for one that mm has not made */
export function mmStruct(mm: NotifiedMm): MmStruct {
  if (!(mm instanceof MmStruct)) throw new KernelBug(`mm ${mm.id} is none that mm has made`);
  return mm;
}

/**
 * An empty address space, or undefined when there is no memory for its first page table, or nobody to pay for it.
 *
 * @param payer whom it is charged to, as the address space says of who makes it; 0 where nobody does
 * @see mm_alloc() in kernel/fork.c
 */
export function allocMm(vm: Vm, node: NodeId, expectedTables = 0, payer = 0): MmStruct | undefined {
  // Its tables are charged to the address space, which doesn't exist before its first table does.
  const source: TablePages & { mm: MmStruct | undefined } = {
    mm: undefined,
    arenas: vm.tableArenas,
    alloc() {
      return vm.pages.allocTable(this.mm?.payer ?? payer, node);
    },
    free: (page) => vm.pages.freeTable(page),
  };
  const root = source.alloc(Level.pgd);
  if (root === NULL_PAGE) return undefined;
  const mm = new MmStruct(vm, vm.nextMmId(), node, new PageTable(source, root, expectedTables), payer);
  source.mm = mm;
  vm.addressSpaces.add(mm);
  vm.coverage?.watch(mm);
  return mm;
}

/**
 * An address space of which there is nothing but whom it is charged to: for somebody without memory of his own who uses
 * files in the name of a cgroup.
 *
 * @see set_active_memcg() in include/linux/sched/mm.h
 */
export function emptyMm(vm: Vm, node: NodeId, payer: number): MmStruct {
  const none: TablePages = { arenas: vm.tableArenas, alloc: () => NULL_PAGE as Page, free: () => {} };
  return new MmStruct(vm, vm.nextMmId(), node, new PageTable(none, NULL_PAGE as Page, 0), payer);
}
