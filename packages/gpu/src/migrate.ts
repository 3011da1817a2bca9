// Migration to the device and back, in the kernel's three steps: setup, in which pages are unmapped; then the driver
// allocates and copies; pages and finalize, which map the result. A page without a destination stays in place, so a
// failed step loses nothing. Kernel counterparts: dmirror_migrate_to_device(), dmirror_migrate_to_system() and
// dmirror_devmem_fault() in lib/test_hmm.c.
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

/** Bytes per migration: the span of one page table. */
const CHUNK = 512 * PAGE_SIZE;

/**
 * Migrates a range to the device.
 *
 * @returns the number of migrated pages
 * @throws KernelError EINVAL where there is no readable mapping
 */
export function* migrateToDevice(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  yield* context.gpu.memory.plug();
  const moved = yield* overMappings(context, start, end, (vma, first, last) =>
    moveToDevice(context, vma, first, last),
  );
  // Entries are filled from the cpu's page table, which may have changed again. Entries of pages that were on the
  // device before were removed by the migration's invalidation.
  yield* mapOwnPages(context, start, end);
  return moved;
}

/** Migrates the anonymous mappings of a range to the device, for policies; other addresses are skipped. */
export function* migrateWherePossible(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  yield* context.gpu.memory.plug();
  yield* whereMapped(context, start, end, function* (vma, first, last) {
    if (vma.anonymous) yield* moveToDevice(context, vma, first, last);
  });
}

/** Migrates a read-only page of the device to RAM, where a write fault can copy it. */
export function* takeOutOfDevice(context: GpuContext, address: VirtAddr): Sleeps<void> {
  const end = (address + PAGE_SIZE) as VirtAddr;
  yield* whereMapped(context, address, end, function* (vma, first, last) {
    yield* moveToSystem(context, vma, first, last);
  });
}

/**
 * Migrates a range back to RAM.
 *
 * @returns the number of migrated pages
 * @throws KernelError EINVAL where there is no readable mapping, ENOMEM when there is no memory for any page
 */
export function* migrateToSystem(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  return yield* overMappings(context, start, end, (vma, first, last) =>
    moveToSystem(context, vma, first, last),
  );
}

/**
 * Handles a cpu fault on a private page: migrates it, and the range the policy adds, to RAM. Called with the mmap
 * lock held for reading and a reference on the page.
 *
 * @returns SIGBUS when the contents are lost, OOM without memory; else 0, and the access is retried
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

/**
 * Calls `move` for each mapping of a range, in pieces of CHUNK, with the mmap lock held for reading.
 *
 * @returns the sum of the results
 * @throws KernelError EINVAL where there is no readable mapping
 */
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

/** As overMappings(), but skips addresses without a readable mapping. */
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

/** The mmap lock is held for reading. @returns the number of migrated pages */
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

/** The mmap lock is held for reading. @returns the number of migrated pages */
function* moveToDevice(context: GpuContext, vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const { gpu } = context;
  const args = createMigrateVma({ vma, start, end, pgmapOwner: gpu, flags: MigrateVmaSelect.system });
  yield* migrateVmaSetup(args);
  // The collected pages are locked, so eviction can't pick them.
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
    // A hole or the zero page needs no copy: the new page reads as zeros.
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

/** The selection flags of a migration back. @see dmirror_select_device() */
function ownMemory({ memory }: Gpu): number {
  return memory.type === "private" ? MigrateVmaSelect.devicePrivate : MigrateVmaSelect.deviceCoherent;
}
