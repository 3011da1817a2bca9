// Pages come to the device and go back, in the kernel's three steps: setup takes them away from the process, the driver
// allocates and copies, pages and finalize give the process what it has now. Nothing is lost when a step fails: a page
// without a new one in its place stays where it was. Kernel counterparts: dmirror_migrate_to_device(),
// dmirror_migrate_to_system() and dmirror_devmem_fault() in lib/test_hmm.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  createMigrateVma,
  migratePfnToPage,
  migrates,
  type MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  MigrateVmaSelect,
  migrateVmaSetup,
  setMigrateDst,
} from "@hetmem/hmm-migrate";
import { type FaultContext, type Vma, VmFault, VmFlag } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { evictPages } from "./evict.ts";
import { mapOwnPages } from "./fault.ts";
import type { Gpu } from "./gpu.ts";
import type { GpuContext } from "./gpu-context.ts";
import { bringToRam, dropTargets, pagesMoved } from "./migrate-copy.ts";

/** Pages of one migration: as many as one page table has. */
const CHUNK = 512 * PAGE_SIZE;

/** @returns pages that moved @throws KernelError EINVAL where there is no mapping that can be read */
export function* migrateToDevice(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  yield* context.gpu.memory.plug();
  const moved = yield* overMappings(context, start, end, (vma, first, last) =>
    moveToDevice(context, vma, first, last),
  );
  // As any other entries: from the cpu's tables, which may have changed again by now. Those of pages that had been here
  // before went with the rest when the migration was announced.
  yield* mapOwnPages(context, start, end);
  return moved;
}

/** The same for a policy, which doesn't know what is mapped: what can't move stays. */
export function* migrateWherePossible(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  yield* context.gpu.memory.plug();
  yield* whereMapped(context, start, end, function* (vma, first, last) {
    if (vma.anonymous) yield* moveToDevice(context, vma, first, last);
  });
}

/** Moves a page that the device only may read to where a fault can copy it: in the device itself nobody can. */
export function* takeOutOfDevice(context: GpuContext, address: VirtAddr): Sleeps<void> {
  const end = (address + PAGE_SIZE) as VirtAddr;
  yield* whereMapped(context, address, end, function* (vma, first, last) {
    yield* moveToSystem(context, vma, first, last);
  });
}

/**
 * The other way.
 *
 * @throws KernelError EINVAL where there is no mapping that can be read, ENOMEM when there is no room for anything
 */
export function* migrateToSystem(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  return yield* overMappings(context, start, end, (vma, first, last) =>
    moveToSystem(context, vma, first, last),
  );
}

/**
 * The cpu has touched a page of private memory. The mmap lock is held for reading, and a reference on the page.
 *
 * @returns SIGBUS where its contents are lost, OOM where there is no room for it; else the access begins again
 * @see dmirror_devmem_fault()
 */
export function* cpuTouch(gpu: Gpu, fault: FaultContext, page: Page): Sleeps<VmFault> {
  const { vma, address } = fault;
  gpu.stats.cpuFaults++;
  if (gpu.memory.isLost(page)) return VmFault.SIGBUS;
  const wanted = gpu.policy.onCpuTouch(address);
  const args = createMigrateVma({
    vma,
    start: Math.max(wanted.start, vma.start) as VirtAddr,
    end: Math.min(wanted.end, vma.end) as VirtAddr,
    pgmapOwner: gpu,
    flags: MigrateVmaSelect.devicePrivate,
    faultPage: page,
  });
  yield* migrateVmaSetup(args);
  const roomy = yield* bringToRam(gpu, args, vma.mm.node);
  yield* migrateVmaPages(args);
  const arrived = migrates(args.src, (address - args.start) / PAGE_SIZE);
  yield* migrateVmaFinalize(args);
  if (arrived) return 0;
  if (gpu.memory.isLost(page)) return VmFault.SIGBUS;
  return roomy ? 0 : VmFault.OOM;
}

/** Does something with each mapping of a range, in pieces, with the mmap lock held for reading. */
function* overMappings(
  { mm }: GpuContext,
  start: VirtAddr,
  end: VirtAddr,
  move: (vma: Vma, start: VirtAddr, end: VirtAddr) => Sleeps<number>,
): Sleeps<number> {
  let moved = 0;
  for (let at = start; at < end;) {
    yield* mm.mmapLock.downRead();
    try {
      const vma = mm.vmas.at(at);
      if (!vma || (vma.flags & VmFlag.READ) === 0)
        throw new KernelError(
          "EINVAL",
          `nothing is mapped at 0x${at.toString(16)} that could be read and moved`,
        );
      const next = Math.min(end, vma.end, at + CHUNK) as VirtAddr;
      moved += yield* move(vma, at, next);
      at = next;
    } finally {
      mm.mmapLock.upRead();
    }
  }
  return moved;
}

/** The same, and where nothing is mapped that can be read, nothing is done. */
function* whereMapped(
  { mm }: GpuContext,
  start: VirtAddr,
  end: VirtAddr,
  move: (vma: Vma, start: VirtAddr, end: VirtAddr) => Sleeps<void>,
): Sleeps<void> {
  for (let at = start; at < end;) {
    yield* mm.mmapLock.downRead();
    try {
      const vma = mm.vmas.findFrom(at);
      if (!vma || vma.start >= end) return;
      const first = Math.max(at, vma.start) as VirtAddr;
      at = Math.min(end, vma.end, first + CHUNK) as VirtAddr;
      if ((vma.flags & VmFlag.READ) !== 0) yield* move(vma, first, at);
    } finally {
      mm.mmapLock.upRead();
    }
  }
}

/** The mmap lock is held for reading. @returns pages that moved */
function* moveToSystem({ gpu }: GpuContext, vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const args = createMigrateVma({ vma, start, end, pgmapOwner: gpu, flags: ownMemory(gpu) });
  yield* migrateVmaSetup(args);
  const roomy = yield* bringToRam(gpu, args, vma.mm.node);
  const moved = yield* finish(args);
  gpu.stats.toSystem += moved;
  if (moved === 0 && !roomy)
    throw new KernelError("ENOMEM", `no memory for what leaves ${gpu.name}: it stays there`);
  return moved;
}

/** The mmap lock is held for reading. @returns pages that moved */
function* moveToDevice(context: GpuContext, vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const { gpu } = context;
  const args = createMigrateVma({ vma, start, end, pgmapOwner: gpu, flags: MigrateVmaSelect.system });
  yield* migrateVmaSetup(args);
  // Pages on their way are locked: evicting others can't take them.
  const missing = args.cpages - gpu.memory.freePages;
  if (missing > 0) yield* evictPages(gpu, missing);
  yield* copyToDevice(gpu, args);
  const moved = yield* finish(args);
  gpu.stats.toDevice += moved;
  return moved;
}

/** @see dmirror_migrate_alloc_and_copy() */
function* copyToDevice(gpu: Gpu, args: MigrateVma): Sleeps<void> {
  const { dma, memory } = gpu;
  const { src, dst, npages } = args;
  const from = new Int32Array(npages);
  const to = new Int32Array(npages);
  let count = 0;
  for (let i = 0; i < npages; i++) {
    if (!migrates(src, i)) continue;
    const target = memory.alloc();
    if (target === NULL_PAGE) continue;
    setMigrateDst(dst, i, target);
    const page = migratePfnToPage(src, i);
    // A hole, or the zero page: the new page reads as zeros already.
    if (page === NULL_PAGE) continue;
    from[count] = page;
    to[count++] = target;
  }
  if (!(yield* dma.copy(to, from, count))) dropTargets(gpu, args);
}

function* finish(args: MigrateVma): Sleeps<number> {
  yield* migrateVmaPages(args);
  const moved = pagesMoved(args);
  yield* migrateVmaFinalize(args);
  return moved;
}

/** What a migration back selects. @see dmirror_select_device() */
function ownMemory({ memory }: Gpu): number {
  return memory.type === "private" ? MigrateVmaSelect.devicePrivate : MigrateVmaSelect.deviceCoherent;
}
