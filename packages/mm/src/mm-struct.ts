// An address space: its mappings, its page tables and its counters. An address space belongs to a process, the owner,
// and lasts until the last user is gone. emptyMm() makes one that only names a cgroup to charge. Kernel counterpart:
// struct mm_struct in include/linux/mm_types.h.
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
import "./version.ts";

/** Indices of the rss counters. @see MM_FILEPAGES in include/linux/mm_types_task.h */
export const Rss = { file: 0, anon: 1, swapEntries: 2, shmem: 3 } as const;

/** An address space. @see struct mm_struct */
export class MmStruct implements NotifiedMm {
  /** Number for locks and reports. Never reused. */
  readonly id: number;
  readonly vm: Vm;
  readonly vmas: VmaList = new VmaList();
  readonly pageTable: PageTable;
  /** @see mmap_lock */
  readonly mmapLock: RwSemaphore;
  /** Page counters, by Rss. */
  readonly rss: Int32Array = new Int32Array(4);
  /** Number of users. The last mmput() tears the address space down. @see mm_users */
  users = 1;
  /**
   * Mapped pages: of all mappings, locked ones, private writable ones, executable ones and stacks; and
   * longterm-pinned pages.
   */
  totalVm = 0;
  lockedVm = 0;
  dataVm = 0;
  execVm = 0;
  stackVm = 0;
  pinnedVm = 0;
  /** Mapped pages of the hugetlb pool, in small pages. Such pages don't count as resident. @see hugetlb_usage */
  hugetlbPages = 0;
  /** Peaks of resident and of mapped pages. @see update_hiwater_rss() */
  hiwaterRss = 0;
  hiwaterVm = 0;
  /** Upper end of the area in which mmap() searches downwards. */
  mmapBase: VirtAddr = virtAddr(0x7fff_f000_0000);
  startBrk: VirtAddr = virtAddr(0);
  brk: VirtAddr = virtAddr(0);
  startStack: VirtAddr = virtAddr(0);
  /** Start and end of the program's text, which VmExe counts. */
  startCode: VirtAddr = virtAddr(0);
  endCode: VirtAddr = virtAddr(0);
  /** VmFlag bits of every new mapping, set by mlockall(MCL_FUTURE). */
  defFlags = 0;
  /** The process that owns the address space; undefined before the first one. @see mm->owner */
  owner: Process | undefined = undefined;
  /** Id of the memory cgroup that its pages are charged to, assigned by PageCharging; 0: the root cgroup. */
  payer: number;
  /** The node of the CPU that its task runs on, and the default node of its pages. */
  node: NodeId;
  /** Memory policy of the task. @see set_mempolicy() */
  policy: MemPolicy | undefined = undefined;
  /** The last node of an interleaving task; -1 before the first one. @see il_prev */
  interleavePrev = -1;
  /** Start address of the next scan for NUMA hinting faults. @see numa_scan_offset */
  numaScanOffset: VirtAddr = virtAddr(0);
  /** MMU notifiers of the address space; undefined before the first registration. @see mm->notifier_subscriptions */
  notifiers: NotifierSubscriptions | undefined = undefined;
  /** Whether a page was ever pinned. Only then fork() checks pages for pins. @see MMF_HAS_PINNED */
  hasPinned = false;
  /** Odd while fork() write-protects entries. A lockless pin that sees a change is dropped. @see write_protect_seq */
  writeProtectSeq = 0;
  /** Whether the OOM reaper has discarded pages: contents may be lost, and faults get SIGBUS. @see MMF_UNSTABLE */
  unstable = false;
  /**
   * Whether the OOM killer has chosen the owner, and whether the OOM reaper has finished.
   *
   * @see TIF_MEMDIE, MMF_OOM_SKIP
   */
  oom: "none" | "victim" | "reaped" = "none";
  /** Whether the last user is gone. */
  dead = false;

  constructor(vm: Vm, id: number, node: NodeId, pageTable: PageTable, payer: number) {
    this.vm = vm;
    this.id = id;
    this.node = node;
    this.payer = payer;
    this.pageTable = pageTable;
    this.mmapLock = new RwSemaphore(vm.kernel.lockdep, `mmap_lock of mm ${id}`);
  }

  /** Limits and credentials of the owner, or of process 1 without an owner. */
  get rights(): ProcessRights {
    return this.owner ?? this.vm.processes.init;
  }

  /** Soft limit of a resource. @see rlimit() */
  rlimit(name: RlimitName): number {
    return this.rights.rlimits.get(name).soft;
  }

  /** Whether the owner has a capability. @see capable() */
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

  /** Raises the peak of resident pages. Called before pages are unmapped. @see update_hiwater_rss() */
  updateHiwaterRss(): void {
    this.hiwaterRss = Math.max(this.hiwaterRss, this.rssPages);
  }
}

/** The address space of a notifier callback. @throws KernelBug when mm wasn't made by this package */
export function mmStruct(mm: NotifiedMm): MmStruct {
  if (!(mm instanceof MmStruct))
    throw new KernelBug(`mm ${mm.id} is none that this copy of @hetmem/mm has made`);
  return mm;
}

/**
 * Makes an empty address space.
 *
 * @param node node of the page tables, and default node of pages
 * @param expectedTables number of page tables to make room for
 * @param payer id of the memory cgroup that is charged, that of the creator; 0: the root cgroup
 * @returns undefined when there is no memory for the first page table, or its charge fails
 * @see mm_alloc() in kernel/fork.c
 */
export function allocMm(vm: Vm, node: NodeId, expectedTables = 0, payer = 0): MmStruct | undefined {
  // Page tables are charged to the address space's current cgroup, but the first is allocated before the address
  // space exists.
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
 * An address space without memory, for charging a cgroup without a process: the user of a file works in the cgroup's
 * name.
 *
 * @param node node at which allocations start
 * @param payer id of the memory cgroup
 * @see set_active_memcg() in include/linux/sched/mm.h
 */
export function emptyMm(vm: Vm, node: NodeId, payer: number): MmStruct {
  const none: TablePages = { arenas: vm.tableArenas, alloc: () => NULL_PAGE as Page, free: () => {} };
  return new MmStruct(vm, vm.nextMmId(), node, new PageTable(none, NULL_PAGE as Page, 0), payer);
}
