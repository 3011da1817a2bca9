// Takes the anonymous memory of a process that was killed for lack of memory, before the process has come to its end: it
// may be waiting for the very memory. Kernel counterpart: oom_reaper() in mm/oom_kill.c. There is no thread for it here:
// whoever had the process killed does it.
import { condResched, type Sleeps } from "@hetmem/kernel";
import { type MmStruct, type Process, type Vm, type Vma, VmFlag, zapPageRange } from "@hetmem/mm";
import {
  invalidateRangeEnd,
  invalidateRangeStartNonblock,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { logReaped, logUnreapable } from "./oom-log.ts";

/** @see MAX_OOM_REAP_RETRIES */
const MAX_RETRIES = 10;

/** Takes what can be taken without waiting for anybody; the victim counts no longer in any case. @see oom_reap_task() */
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

/** @returns false when somebody is in the way: the lock is held, or a device would have to be waited for @see oom_reap_task_mm() */
function* reapMm(mm: MmStruct): Sleeps<boolean> {
  if (!mm.mmapLock.tryDownRead()) return false;
  // What is read from now on isn't what was written.
  mm.unstable = true;
  let all = true;
  for (const vma of mm.vmas) if (isReapable(vma) && !(yield* reapVma(vma))) all = false;
  mm.mmapLock.upRead();
  return all;
}

function* reapVma(vma: Vma): Sleeps<boolean> {
  const { mm, start, end } = vma;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Unmap };
  if (!invalidateRangeStartNonblock(range)) return false;
  yield* zapPageRange(vma, start, end);
  yield* invalidateRangeEnd(range);
  return true;
}

/** Only what is the process's alone goes; pages of files that could be reclaimed have been. */
function isReapable({ flags, anonymous }: Vma): boolean {
  if ((flags & (VmFlag.HUGETLB | VmFlag.PFNMAP)) !== 0) return false;
  return anonymous || (flags & VmFlag.SHARED) === 0;
}
