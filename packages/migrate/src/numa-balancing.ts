// NUMA balancing: a scan makes entries of a process inaccessible now and then; the fault that follows tells which node
// uses the page, and brings it there. Kernel counterparts: task_numa_work() in kernel/sched/fair.c, change_prot_numa() in
// mm/mempolicy.c, migrate_misplaced_page() in mm/migrate.c. Not modelled: who is scanned when (callers say how much), groups
// of tasks that share memory, huge pages, and the mode that promotes by how hot a page is.
import { condResched, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { isAccessible, isCowMapping, type MmStruct, type Vm, type Vma, VmFlag } from "@hetmem/mm";
import { migratesOnFault, policyOf } from "@hetmem/mm/policy";
import { isOrdinaryPage } from "@hetmem/mm/rmap";
import { invalidateRangeEnd, invalidateRangeStart, MmuNotifyEvent } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat, VmEvent, type Zone, ZoneType } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages, putbackMovablePages } from "./migrate-pages.ts";
import { migrationTarget } from "./migration-target.ts";
import { vmaMigratable } from "./queue-pages.ts";

/** A scan goes through so much empty space for each page that it was to look at. */
const VIRTUAL_PER_PAGE = 8;
/** A page that follows its user must not push others out, nor wait. */
const GFP_MISPLACED =
  (GFP_HIGHUSER_MOVABLE & ~(Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM)) |
  Gfp.THISNODE |
  Gfp.NOMEMALLOC |
  Gfp.NORETRY |
  Gfp.NOWARN;

/**
 * Makes the next entries of a process inaccessible, from where the last scan ended. Does nothing while somebody changes
 * the address space.
 *
 * @param pages entries to look at: the kernel takes 256 MiB of them at a time
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

/** Makes entries of a mapping inaccessible, but for those whose page is where it should be. @returns how many @see change_prot_numa() */
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
      // A part of a huge page isn't worth dividing it.
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
 * Moves one page to a node, if that works at once. The caller's reference is dropped.
 *
 * @returns whether it has moved
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

/** Whether the pages of a mapping may follow who uses them. @see task_numa_work(), vma_policy_mof() */
function wantsHints(vma: Vma): boolean {
  const { flags, file } = vma;
  // Libraries are mapped by many: they are copied to each node by caches, not moved.
  const library = file !== undefined && (flags & (VmFlag.READ | VmFlag.WRITE)) === VmFlag.READ;
  return (
    vmaMigratable(vma) &&
    (flags & VmFlag.MIXEDMAP) === 0 &&
    !library &&
    isAccessible(flags) &&
    migratesOnFault(policyOf(vma.mm, vma))
  );
}

/** Atomic. @see change_pte_range() with MM_CP_PROT_NUMA */
function hintEntries(vma: Vma, first: number, last: number): number {
  const { pageTable, users, node } = vma.mm;
  // What only this process can use is known to be used here.
  const home = (vma.flags & VmFlag.SHARED) === 0 && users === 1 ? node : -1;
  let updates = 0;
  for (let entry = first; entry < last; entry++) {
    const flags = pageTable.flags(entry);
    if ((flags & (Pte.present | Pte.special | Pte.protnone)) !== Pte.present) continue;
    if (!hintable(vma, entryPage(pageTable.value(entry)), home)) continue;
    // The entry stays writable underneath: it comes back as it was.
    pageTable.setFlags(entry, flags | Pte.protnone);
    updates++;
  }
  return updates;
}

function hintable(vma: Vma, page: Page, home: number): boolean {
  const { vm } = vma.mm;
  const { memmap } = vm;
  if (!isOrdinaryPage(vm, page) || memmap.nodeOf(page) === home) return false;
  if (isCowMapping(vma.flags) && memmap.refcount(memmap.compoundHead(page)) !== 1) return false;
  return !isDirtyFilePage(vm, page);
}

/** @see migrate_misplaced_page() */
function worthMoving(vma: Vma, page: Page): boolean {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const ofFile = !memmap.test(page, PageFlag.swapbacked);
  if (ofFile && memmap.mapcount(page) !== 1 && (vma.flags & VmFlag.EXEC) !== 0) return false;
  return !isDirtyFilePage(vm, page);
}

/** Such a page can't move without waiting. */
function isDirtyFilePage({ memmap }: Vm, page: Page): boolean {
  return (memmap.flags(page) & (PageFlag.swapbacked | PageFlag.dirty)) === PageFlag.dirty;
}

/** Whether a node can take a page without waking its kswapd. @see migrate_balanced_pgdat() */
function hasRoom({ memory }: Vm, node: NodeId): boolean {
  const above = (zone: Zone): boolean =>
    zone.managedPages > 0 &&
    zone.freePages - 1 > zone.watermark.high + 1 + (zone.lowmemReserve[ZoneType.Movable] ?? 0);
  return memory.nodes[node]?.zones.some(above) ?? false;
}
