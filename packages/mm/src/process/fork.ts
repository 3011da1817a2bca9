// fork(): the child gets a copy of the parent's address space, and shares its pages until one of the two writes.
// Limits, credentials and the memory policy are inherited; memory locks are not. Kernel counterparts: dup_mmap() in
// kernel/fork.c, copy_page_range() in mm/memory.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { copyPageRange } from "./copy-page-range.ts";
import { allocMm, type MmStruct } from "../mm-struct.ts";
import { linkVma } from "../vma/link.ts";
import { dropRmapLocks, takeRmapLocks } from "../vma/rmap-locks.ts";
import { Vma } from "../vma/vma.ts";
import { VmFlag, VM_LOCKED_MASK } from "../vma/vm-flags.ts";
import { exitMmap, mmput } from "./exit.ts";
import { allocKernelStack, freeKernelStack } from "./kernel-stack.ts";
import type { Process } from "./process.ts";

/**
 * Makes a child of a process.
 *
 * @throws KernelError ENOMEM when there is no memory for the child's page tables, or overcommit doesn't allow its
 *   mappings; EBUSY when a driver holds a page that its device uses exclusively; EINTR when the process has been
 *   killed; ESRCH when the process has exited. There is no child after an error
 * @see kernel_clone() in kernel/fork.c
 */
export function* forkProcess(parent: Process): Sleeps<Process> {
  const { mm } = parent;
  if (!mm) throw new KernelError("ESRCH", `process ${parent.pid} has exited and can't fork`);
  const stack = allocKernelStack(mm.vm, mm, mm.node);
  if (!stack) throw new KernelError("ENOMEM", "no memory for a kernel stack: the process can't fork");
  // A kill of the parent during the copy must not tear its address space down.
  mm.users++;
  let child: MmStruct;
  try {
    child = yield* dupMm(mm);
    if (parent.killed) {
      // The OOM reaper may have discarded pages of the parent before they were copied.
      yield* exitMmap(child);
      throw new KernelError("EINTR", `process ${parent.pid} was killed, and can't fork any more`);
    }
  } catch (error) {
    freeKernelStack(mm.vm, stack);
    throw error;
  } finally {
    yield* mmput(mm);
  }
  const process = mm.vm.processes.add(parent.comm, child, parent);
  process.kernelStack = stack;
  process.argv = parent.argv;
  process.oomScoreAdj = parent.oomScoreAdj;
  process.mceKillEarly = parent.mceKillEarly;
  return process;
}

/** Copies an address space. @see dup_mm() */
function* dupMm(from: MmStruct): Sleeps<MmStruct> {
  const to = allocMm(from.vm, from.node, from.pageTable.tables, from.payer);
  if (!to) throw new KernelError("ENOMEM", "no memory for a page table: the process can't fork");
  yield* from.mmapLock.downWrite();
  try {
    inherit(to, from);
    for (const vma of from.vmas) yield* dupVma(to, vma);
  } catch (error) {
    from.mmapLock.upWrite();
    yield* exitMmap(to);
    throw error;
  }
  from.mmapLock.upWrite();
  return to;
}

/** Fields that a child's address space copies. Memory locks and peaks are not inherited. */
function inherit(to: MmStruct, from: MmStruct): void {
  to.mmapBase = from.mmapBase;
  to.startBrk = from.startBrk;
  to.brk = from.brk;
  to.startStack = from.startStack;
  to.startCode = from.startCode;
  to.endCode = from.endCode;
  to.policy = from.policy;
  to.interleavePrev = from.interleavePrev;
  to.hasPinned = false;
}

function* dupVma(to: MmStruct, from: Vma): Sleeps<void> {
  if ((from.flags & VmFlag.DONTCOPY) !== 0) return;
  if ((from.flags & VmFlag.ACCOUNT) !== 0) to.vm.commit.charge(from.mm, from.pages);
  const vma = new Vma(to, from.start, from.end, from.flags & ~VM_LOCKED_MASK, from.pgoff);
  vma.file = from.file;
  vma.ops = from.ops;
  vma.policy = from.policy;
  vma.private = from.private;
  const wiped = (from.flags & VmFlag.WIPEONFORK) !== 0;
  // The child enters the trees after the parent, so that remove_migration_ptes() meets the parent first, or both.
  const locks = yield* takeRmapLocks(vma, from.anonVma);
  if (!wiped) to.vm.anonVmas.fork(vma, from);
  linkVma(vma);
  dropRmapLocks(locks);
  vma.ops?.open?.(vma);
  if (!wiped) yield* copyPageRange(vma, from);
}
