// NUMA balancing. A scan makes entries of a process inaccessible (PROT_NONE); the next access faults (a NUMA hint), and
// the page is migrated to the node of the access. Not modelled: when a process is scanned (callers decide), NUMA
// groups, huge pages, and the mode that promotes hot pages. Kernel counterparts: task_numa_work() in
// kernel/sched/fair.c, change_prot_numa() in mm/mempolicy.c, migrate_misplaced_page() in mm/migrate.c.
import { condResched, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { isAccessible, isCowMapping, type MmStruct, type Vm, type Vma, VmFlag } from "@hetmem/mm";
import { policyOf } from "@hetmem/mm/policy";
import type { Promotion } from "@hetmem/mm/ports";
import { isOrdinaryPage } from "@hetmem/mm/rmap";
import { invalidateRangeEnd, invalidateRangeStart, MmuNotifyEvent } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat, VmEvent, type Zone, ZoneType } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages, putbackMovablePages } from "./migrate-pages.ts";
import { migrationTarget } from "./migration-target.ts";
import { migratesOnFault, mpolMisplaced } from "./misplaced.ts";
import { NumaTouches } from "./numa-touches.ts";
import { vmaMigratable } from "./queue-pages.ts";

/** Pages of address space that a scan may pass for each page that it is to change. */
const VIRTUAL_PER_PAGE = 8;
/** Allocation on one node, without reclaim: balancing must not evict other pages, nor wait. */
const GFP_MISPLACED =
  (GFP_HIGHUSER_MOVABLE & ~(Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM)) |
  Gfp.THISNODE |
  Gfp.NOMEMALLOC |
  Gfp.NORETRY |
  Gfp.NOWARN;

/** NUMA balancing of a machine: implements the port Promotion of mm. */
export class NumaBalancing implements Promotion {
  /** Last accessing node of shared pages. */
  private readonly touches = new NumaTouches();

  misplaced(vma: Vma, page: Page): NodeId | undefined {
    return mpolMisplaced(vma, page, this.touches);
  }

  migrateMisplacedPage(vma: Vma, page: Page, node: NodeId): Sleeps<boolean> {
    return migrateMisplacedPage(vma, page, node);
  }
}

/**
 * Makes the next entries of a process inaccessible, from the end of the last scan on. Does nothing while another task
 * holds the mmap lock for writing.
 *
 * @param pages entries to scan; the kernel scans 256 MiB at a time
 * @returns entries changed
 * @see task_numa_work()
 */
export function* scanForHints(mm: MmStruct, pages: number): Sleeps<number> {
  if (!mm.mmapLock.tryDownRead()) return 0;
  let left = pages;
  let virtual = pages * VIRTUAL_PER_PAGE;
  let updates = 0;
  let at = mm.vmas.findFrom(mm.numaScanOffset) ? mm.numaScanOffset : (0 as VirtAddr);
  for (let vma = mm.vmas.findFrom(at); vma && left > 0 && virtual > 0; vma = mm.vmas.findFrom(at)) {
    const start = Math.max(at, vma.start) as VirtAddr;
    if (!wantsHints(vma)) {
      at = vma.end;
      continue;
    }
    const stop = Math.ceil((start + left * 4096) / PMD_SIZE) * PMD_SIZE;
    at = Math.min(stop, vma.end) as VirtAddr;
    const changed = yield* changeProtNuma(vma, start, at);
    updates += changed;
    if (changed > 0) left -= (at - start) / 4096;
    virtual -= (at - start) / 4096;
  }
  mm.numaScanOffset = mm.vmas.findFrom(at) ? at : (0 as VirtAddr);
  mm.mmapLock.upRead();
  return updates;
}

/**
 * Makes entries of a mapping inaccessible, except those whose page is on its home node.
 *
 * @param start first address
 * @param end address behind the last
 * @returns entries changed
 * @see change_prot_numa()
 */
export function* changeProtNuma(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const range = { mm, start, end, event: MmuNotifyEvent.ProtectionVma };
  let updates = 0;
  yield* invalidateRangeStart(range);
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const region = at - (at % PMD_SIZE);
    const stop = Math.min(end, region + PMD_SIZE) as VirtAddr;
    const pmd = pageTable.findPmd(at);
    const table = pageTable.tableUnder(pmd);
    if (table === NO_ENTRY) {
      // A huge page is changed as a whole, and isn't split for a part of the range.
      if (stop - at === PMD_SIZE && hintEntries(vma, pmd, pmd + 1) > 0) {
        updates += PMD_SIZE / 4096;
        vm.memory.allocator.countEvent(VmEvent.numa_huge_pte_updates, 1);
      }
    } else {
      const first = table + (at - region) / 4096;
      updates += hintEntries(vma, first, first + (stop - at) / 4096);
    }
    at = stop;
    yield condResched;
  }
  yield* invalidateRangeEnd(range);
  if (updates > 0) vm.memory.allocator.countEvent(VmEvent.numa_pte_updates, updates);
  return updates;
}

/**
 * Migrates a page to a node, if that needs no waiting. Drops the caller's reference.
 *
 * @param node node of the access
 * @returns true if the page has moved
 * @see migrate_misplaced_page()
 */
export function* migrateMisplacedPage(vma: Vma, page: Page, node: NodeId): Sleeps<boolean> {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const from = memmap.nodeOf(page);
  const taken = worthMoving(vma, page) && hasRoom(vm, node) && vm.lru.isolate(page);
  memmap.putPage(page);
  if (!taken) return false;
  const target = migrationTarget(vm, { node, gfp: GFP_MISPLACED });
  const { migrated, failed } = yield* migratePages(
    vm,
    [page],
    target,
    MigrateMode.Async,
    MigrateReason.NumaMisplaced,
  );
  putbackMovablePages(
    vm,
    failed.map((failure) => failure.page),
  );
  if (migrated === 0) return false;
  vm.memory.allocator.countEvent(VmEvent.numa_pages_migrated, migrated);
  const stat = vm.memory.nodes[node]?.stat;
  if (stat && !vm.tiers.isToptier(from) && vm.tiers.isToptier(node))
    stat[NodeStat.pgpromote_success] = (stat[NodeStat.pgpromote_success] as number) + migrated;
  return true;
}

/** Whether the pages of a mapping are subject to NUMA balancing. @see task_numa_work(), vma_policy_mof() */
function wantsHints(vma: Vma): boolean {
  const { flags, file } = vma;
  // Libraries are mapped by processes on many nodes, and stay in the CPUs' caches: migration would gain nothing.
  const library = file !== undefined && (flags & (VmFlag.READ | VmFlag.WRITE)) === VmFlag.READ;
  return (
    vmaMigratable(vma) &&
    (flags & VmFlag.MIXEDMAP) === 0 &&
    !library &&
    isAccessible(flags) &&
    migratesOnFault(policyOf(vma.mm, vma))
  );
}

/**
 * Makes entries of one table inaccessible. Atomic.
 *
 * @returns entries changed
 * @see change_pte_range() with MM_CP_PROT_NUMA
 */
function hintEntries(vma: Vma, first: number, last: number): number {
  const { pageTable, users, node } = vma.mm;
  // A private page of a single-threaded process on the process's own node is at its place.
  const home = (vma.flags & VmFlag.SHARED) === 0 && users === 1 ? node : -1;
  let updates = 0;
  for (let entry = first; entry < last; entry++) {
    const flags = pageTable.flags(entry);
    if ((flags & (Pte.present | Pte.special | Pte.protnone)) !== Pte.present) continue;
    if (!hintable(vma, entryPage(pageTable.value(entry)), home)) continue;
    // The write bit stays: the fault restores the entry as it was.
    pageTable.setFlags(entry, flags | Pte.protnone);
    updates++;
  }
  return updates;
}

/** Whether an entry that maps a page gets a NUMA hint. @param home node whose pages get none, or -1 */
function hintable(vma: Vma, page: Page, home: number): boolean {
  const { vm } = vma.mm;
  const { memmap } = vm;
  if (!isOrdinaryPage(vm, page) || memmap.nodeOf(page) === home) return false;
  if (isCowMapping(vma.flags) && memmap.refcount(memmap.compoundHead(page)) !== 1) return false;
  return !isDirtyFilePage(vm, page);
}

/** Whether a page may be migrated at a NUMA hint. @see migrate_misplaced_page() */
function worthMoving(vma: Vma, page: Page): boolean {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const ofFile = !memmap.test(page, PageFlag.swapbacked);
  if (ofFile && memmap.mapcount(page) !== 1 && (vma.flags & VmFlag.EXEC) !== 0) return false;
  return !isDirtyFilePage(vm, page);
}

/** Whether a page is a dirty page of a file. Its migration would wait for writeback. */
function isDirtyFilePage({ memmap }: Vm, page: Page): boolean {
  return (memmap.flags(page) & (PageFlag.swapbacked | PageFlag.dirty)) === PageFlag.dirty;
}

/**
 * Whether a node has a free page above its high watermark, so that its kswapd isn't woken.
 *
 * @see migrate_balanced_pgdat()
 */
function hasRoom({ memory }: Vm, node: NodeId): boolean {
  const above = ({ managedPages, freePages, watermark, lowmemReserve }: Zone): boolean =>
    managedPages > 0 &&
    freePages > watermark.high + watermark.boost + 1 + (lowmemReserve[ZoneType.Movable] ?? 0);
  return memory.nodes[node]?.zones.some(above) ?? false;
}
