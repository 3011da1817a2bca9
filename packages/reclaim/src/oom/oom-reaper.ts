// The OOM reaper: frees the anonymous memory of a victim before it exits, since the victim itself may wait for memory.
// In the kernel a thread does so; here it is the task that called the OOM killer. Kernel counterpart: oom_reaper() in
// mm/oom_kill.c.
import { condResched, type Sleeps } from "@hetmem/kernel";
import { type MmStruct, type Process, type Vm, type Vma, VmFlag, zapPageRange } from "@hetmem/mm";
import {
  invalidateRangeEnd,
  invalidateRangeStartNonblock,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { logReaped, logUnreapable } from "./oom-log.ts";

/** Attempts to reap a victim. @see MAX_OOM_REAP_RETRIES */
const MAX_RETRIES = 10;

/**
 * Frees what can be freed without waiting. Afterwards the victim counts as reaped in any case, so that another process
 * may be killed.
 *
 * @see oom_reap_task()
 */
export function* reapVictim(vm: Vm, victim: Process, mm: MmStruct): Sleeps<void> {
  let reaped = false;
  for (let attempt = 0; attempt < MAX_RETRIES && !reaped && !mm.dead; attempt++) {
    reaped = yield* reapMm(mm);
    if (!reaped) yield condResched;
  }
  mm.oom = "reaped";
  if (reaped) logReaped(vm, victim, mm);
  else if (!mm.dead) logUnreapable(vm, victim);
}

/**
 * Makes one attempt.
 *
 * @returns false if the mmap lock is held for writing, or a notifier would have to sleep
 * @see oom_reap_task_mm()
 */
function* reapMm(mm: MmStruct): Sleeps<boolean> {
  if (!mm.mmapLock.tryDownRead()) return false;
  // The contents are lost: reads after this return zeros.
  mm.unstable = true;
  let all = true;
  for (const vma of mm.vmas) if (isReapable(vma) && !(yield* reapVma(vma))) all = false;
  mm.mmapLock.upRead();
  return all;
}

/** Unmaps one mapping. @returns false if a notifier would have to sleep */
function* reapVma(vma: Vma): Sleeps<boolean> {
  const { mm, start, end } = vma;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Unmap };
  if (!invalidateRangeStartNonblock(range)) return false;
  yield* zapPageRange(vma, start, end);
  yield* invalidateRangeEnd(range);
  return true;
}

/**
 * Whether a mapping is reaped: anonymous memory and private mappings only. Pages of files have been reclaimed by then.
 */
function isReapable({ flags, anonymous }: Vma): boolean {
  if ((flags & (VmFlag.HUGETLB | VmFlag.PFNMAP)) !== 0) return false;
  return anonymous || (flags & VmFlag.SHARED) === 0;
}
