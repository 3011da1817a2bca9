// move_pages(2): moves single pages of a process to given nodes, or tells the nodes of pages. migrate_pages(2): moves
// all pages on some nodes to others. The caller is the process itself, or has its capabilities. Kernel counterparts:
// mm/migrate.c, mm/mempolicy.c.
import {
  errnoNumber,
  KernelError,
  type NodeId,
  type Page,
  PAGE_SIZE,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import {
  Cap,
  isVmHugetlbPage,
  mmput,
  type MmStruct,
  type Process,
  type ProcessRights,
  type Vm,
} from "@hetmem/mm";
import { Foll, Follow, followPage } from "@hetmem/mm/faultin";
import { nodesWithMemory } from "@hetmem/mm/policy";
import { pageMapcount } from "@hetmem/mm/rmap";
import { TASK_SIZE } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE, ZoneType } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages as migrateIsolated, putbackMovablePages } from "./migrate-pages.ts";
import { migrationTarget } from "./migration-target.ts";
import { MbindFlag, queuePagesRange, vmaMigratable } from "./queue-pages.ts";

/** Status of a page: its node, or a negative errno number. */
export type PageStatus = number;

const EFAULT: PageStatus = -errnoNumber("EFAULT");
const ENOENT: PageStatus = -errnoNumber("ENOENT");

/** Internal status: the page is isolated, to be moved with others. */
const QUEUED = Number.MAX_SAFE_INTEGER;

/**
 * Tells the nodes of the pages at some addresses.
 *
 * @returns a status for each address: the node; -EFAULT if nothing is mapped, or anonymous memory is untouched or
 *   maps the zero page; -ENOENT if the page is in swap, under migration or on a device, or a page of a file isn't
 *   mapped yet
 * @throws KernelError EINVAL for a process that has exited
 * @see move_pages(2) without nodes, do_pages_stat()
 */
export function* queryPages(process: Process, addresses: readonly VirtAddr[]): Sleeps<PageStatus[]> {
  const mm = getTaskMm(process);
  yield* mm.mmapLock.downRead();
  const status = addresses.map((address) => {
    const page = pageOrStatus(mm, address);
    return page > 0 ? mm.vm.memmap.nodeOf(page as Page) : page;
  });
  mm.mmapLock.upRead();
  yield* mmput(mm);
  return status;
}

/**
 * Moves the pages at some addresses, each to its node.
 *
 * @param nodes target node for each address
 * @param status set for each address: the page's node, or a negative errno number, as -EACCES for a page that other
 *   processes map and -EBUSY for one that can't be isolated. Unchanged from the first page on that was not tried
 * @param flags MbindFlag.MOVE or MOVE_ALL
 * @returns pages that did not move, those that were not tried included
 * @throws KernelError EINVAL for other flags, or a process that has exited; EPERM for MOVE_ALL without CAP_SYS_NICE;
 *   ENODEV for a node without memory, ENOMEM for one that is full: pages before may have moved
 * @see move_pages(2), do_pages_move()
 */
export function* movePages(
  process: Process,
  addresses: readonly VirtAddr[],
  nodes: readonly NodeId[],
  status: PageStatus[],
  flags: number,
): Sleeps<number> {
  if ((flags & ~(MbindFlag.MOVE | MbindFlag.MOVE_ALL)) !== 0)
    throw new KernelError("EINVAL", `0x${flags.toString(16)}: pages move with MOVE or MOVE_ALL`);
  if ((flags & MbindFlag.MOVE_ALL) !== 0) checkMoveAll(process);
  const mm = getTaskMm(process);
  try {
    return yield* movePagesOf(mm, addresses, nodes, status, flags);
  } finally {
    yield* mmput(mm);
  }
}

/**
 * Moves all pages of a process on some nodes to others: those on the n-th node of `from` to the n-th of `to`, so that
 * pages on different nodes stay on different nodes where possible.
 *
 * @returns pages that did not move
 * @throws KernelError EINVAL if no node of `to` has memory, or the process has exited; ENOMEM if one is full
 * @see migrate_pages(2), do_migrate_pages()
 */
export function* migrateProcessPages(
  { memory }: Vm,
  process: Process,
  from: readonly NodeId[],
  to: readonly NodeId[],
): Sleeps<number> {
  const targets = to.filter((node) => nodesWithMemory(memory).includes(node));
  if (targets.length === 0) throw new KernelError("EINVAL", "none of the nodes to move to has memory");
  const mm = getTaskMm(process);
  yield* mm.mmapLock.downRead();
  try {
    return yield* migrateFromTo(mm, from, targets);
  } finally {
    mm.mmapLock.upRead();
    yield* mmput(mm);
  }
}

/**
 * Finds the page that an address maps, without a reference.
 *
 * @returns the page, or a negative errno number: -EFAULT if nothing is mapped, or a frame without a counted page, as
 *   the zero page; -ENOENT if the page isn't present, isn't mapped yet, or is on a device
 * @see follow_page() with FOLL_DUMP
 */
function pageOrStatus(mm: MmStruct, address: VirtAddr): Page | PageStatus {
  const { memmap } = mm.vm;
  const vma = mm.vmas.at(address);
  if (!vma) return EFAULT;
  const page = followPage(vma, (address - (address % PAGE_SIZE)) as VirtAddr, Foll.GET | Foll.DUMP);
  if (page > 0) {
    memmap.putPage(memmap.compoundHead(page as Page));
    return memmap.zoneOf(page as Page) === ZoneType.Device ? ENOENT : page;
  }
  switch (page) {
    case Follow.hole:
      // A file of huge pages may have a page that isn't mapped yet.
      return isVmHugetlbPage(vma) ? ENOENT : EFAULT;
    case Follow.noStructPage:
    case Follow.dead:
      return EFAULT;
    case Follow.overflow:
      return -errnoNumber("ENOMEM");
    default:
      return ENOENT;
  }
}

/**
 * The address space of a process, with a reference that mmput() drops.
 *
 * @throws KernelError EINVAL for a process that has exited
 * @see get_task_mm()
 */
function getTaskMm({ mm, pid }: Process): MmStruct {
  if (!mm) throw new KernelError("EINVAL", `process ${pid} has exited: it has no pages`);
  mm.users++;
  return mm;
}

/**
 * Checks that a process may move pages that other processes map, too.
 *
 * @throws KernelError EPERM without CAP_SYS_NICE
 */
export function checkMoveAll({ credentials }: ProcessRights): void {
  if (!credentials.capable(Cap.SYS_NICE))
    throw new KernelError("EPERM", "pages that others map move for CAP_SYS_NICE only: use MOVE");
}

/** Isolates pages, and migrates those that follow one another and go to the same node together. */
function* movePagesOf(
  mm: MmStruct,
  addresses: readonly VirtAddr[],
  nodes: readonly NodeId[],
  status: PageStatus[],
  flags: number,
): Sleeps<number> {
  const count = addresses.length;
  let pages: Page[] = [];
  let start = 0;
  for (let i = 0; i < count; i++) {
    const node = nodes[i] as NodeId;
    if (pages.length > 0 && node !== nodes[start]) {
      const failed = yield* moveToNode(mm, pages, status, nodes[start] as NodeId, start, i);
      if (failed > 0) return failed + count - i;
      pages = [];
    }
    if (!nodesWithMemory(mm.vm.memory).includes(node)) {
      yield* moveToNode(mm, pages, status, nodes[start] as NodeId, start, i);
      throw new KernelError("ENODEV", `node ${node} has no memory: page ${i} can't go there`);
    }
    if (pages.length === 0) start = i;
    const result = yield* addPageForMigration(mm, addresses[i] as VirtAddr, node, pages, flags);
    if (result === QUEUED) continue;
    status[i] = result;
    const failed = yield* moveToNode(mm, pages, status, node, start, i);
    if (failed > 0) return failed + count - i - 1;
    pages = [];
  }
  return yield* moveToNode(mm, pages, status, nodes[start] as NodeId, start, count);
}

/**
 * Migrates isolated pages to a node, and sets their status.
 *
 * @param start index of the first address whose status is set
 * @param end index behind the last
 * @returns pages that stayed
 * @see move_pages_and_store_status()
 */
function* moveToNode(
  { vm }: MmStruct,
  pages: readonly Page[],
  status: PageStatus[],
  node: NodeId,
  start: number,
  end: number,
): Sleeps<number> {
  if (pages.length === 0) return 0;
  const stayed = yield* doMovePagesToNode(vm, pages, node);
  if (stayed === 0) for (let i = start; i < end; i++) status[i] = node;
  return stayed;
}

/**
 * Migrates isolated pages to one node, without falling back to another.
 *
 * @returns pages that stayed
 * @throws KernelError ENOMEM if the node is full
 * @see do_move_pages_to_node()
 */
function* doMovePagesToNode(vm: Vm, pages: readonly Page[], node: NodeId): Sleeps<number> {
  const target = migrationTarget(vm, { node, gfp: GFP_HIGHUSER_MOVABLE | Gfp.THISNODE });
  const { failed } = yield* migrateIsolated(vm, pages, target, MigrateMode.Sync, MigrateReason.Syscall);
  putbackMovablePages(
    vm,
    failed.map(({ page }) => page),
  );
  if (failed.some(({ errno }) => errno === "ENOMEM"))
    throw new KernelError("ENOMEM", `node ${node} has no room for ${failed.length} pages`);
  return failed.length;
}

/**
 * Isolates the page at an address.
 *
 * @returns QUEUED, or the status of a page that isn't to be moved
 * @see add_page_for_migration()
 */
function* addPageForMigration(
  mm: MmStruct,
  address: VirtAddr,
  node: NodeId,
  pages: Page[],
  flags: number,
): Sleeps<PageStatus> {
  const { vm } = mm;
  yield* mm.mmapLock.downRead();
  const vma = mm.vmas.at(address);
  const page = vma && vmaMigratable(vma) ? pageOrStatus(mm, address) : EFAULT;
  mm.mmapLock.upRead();
  if (page <= 0) return page;
  return isolateForMove(vm, page as Page, node, pages, flags);
}

/** Isolates a page if it is to move. @returns QUEUED, or the status of a page that isn't to be moved */
function isolateForMove(vm: Vm, page: Page, node: NodeId, pages: Page[], flags: number): PageStatus {
  if (vm.memmap.nodeOf(page) === node) return node;
  if (pageMapcount(vm.memmap, page) > 1 && (flags & MbindFlag.MOVE_ALL) === 0) return -errnoNumber("EACCES");
  const head = vm.memmap.compoundHead(page);
  if (!vm.lru.isolate(head)) return -errnoNumber("EBUSY");
  pages.push(head);
  return QUEUED;
}

/**
 * Moves pages of some nodes, one source node at a time. The mmap lock is held for reading.
 *
 * @returns pages that stayed
 * @see do_migrate_pages()
 */
function* migrateFromTo(mm: MmStruct, from: readonly NodeId[], to: readonly NodeId[]): Sleeps<number> {
  const left = new Set(from);
  let busy = 0;
  for (let step = nextMove(from, to, left); step; step = nextMove(from, to, left)) {
    left.delete(step.source);
    busy += yield* migrateToNode(mm, step.source, step.target);
  }
  return busy;
}

/**
 * The next source node to empty. Preferred is one whose target isn't a source any more, so that pages of different
 * nodes don't meet; else any source with another node as its target.
 */
function nextMove(
  from: readonly NodeId[],
  to: readonly NodeId[],
  left: ReadonlySet<NodeId>,
): { readonly source: NodeId; readonly target: NodeId } | undefined {
  let found: { readonly source: NodeId; readonly target: NodeId } | undefined;
  for (const source of [...left].sort((a, b) => a - b)) {
    // If `from` and `to` have different lengths, pages of different nodes can't be kept apart, and a source that is
    // also a target isn't emptied.
    if (from.length !== to.length && to.includes(source)) continue;
    const target = nodeRemap(source, from, to);
    if (target === source) continue;
    found = { source, target };
    if (!left.has(target)) break;
  }
  return found;
}

/**
 * The target for a source: the node of `to` at the position of the source in `from`, both in ascending order.
 *
 * @see node_remap()
 */
function nodeRemap(node: NodeId, from: readonly NodeId[], to: readonly NodeId[]): NodeId {
  const ordered = [...to].sort((a, b) => a - b);
  const position = [...from].sort((a, b) => a - b).indexOf(node);
  return ordered[position % ordered.length] as NodeId;
}

/**
 * Moves all pages on one node to another.
 *
 * @returns pages that stayed
 * @see migrate_to_node()
 */
function* migrateToNode(mm: MmStruct, source: NodeId, node: NodeId): Sleeps<number> {
  const { vm } = mm;
  if (mm.vmas.count === 0) return 0;
  const { pages } = yield* queuePagesRange(mm, {
    start: 0 as VirtAddr,
    end: TASK_SIZE as VirtAddr,
    wants: (candidate) => candidate === source,
    // A process without CAP_SYS_NICE moves only pages that no other process maps.
    flags: mm.capable(Cap.SYS_NICE) ? MbindFlag.MOVE_ALL : MbindFlag.MOVE,
    holes: "allowed",
  });
  return yield* doMovePagesToNode(vm, pages, node);
}
