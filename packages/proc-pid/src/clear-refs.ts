// Writing to /proc/PID/clear_refs: forgets which pages were used, or written, so that a later look tells what was since.
// Kernel counterpart: clear_refs_write() in fs/proc/task_mmu.c, Documentation/admin-guide/mm/soft-dirty.rst.
import { condResched, KernelError, kstrtoint, type Sleeps, virtAddr } from "@hetmem/kernel";
import {
  isCowMapping,
  type MmStruct,
  type SleepingWalkOps,
  type Vma,
  VmFlag,
  walkPageRangeSleeping,
} from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { entryPage, Pte, TASK_SIZE } from "@hetmem/page-table";

/** What can be written. @see enum clear_refs_types */
export const ClearRefs = {
  /** Pages haven't been used. */
  all: 1,
  /** The same for mappings without a file. */
  anon: 2,
  /** The same for those of files. */
  mapped: 3,
  /** Pages haven't been written. */
  softDirty: 4,
  /** The peak of resident pages is what is resident now. */
  hiwaterRss: 5,
} as const;
export type ClearRefs = (typeof ClearRefs)[keyof typeof ClearRefs];

/** The buffer that the kernel reads the number from. @see PROC_NUMBUF */
const NUMBER_CHARACTERS = 12;

/** @throws KernelError EINVAL for anything but 1 to 5, ERANGE for what isn't an int */
export function parseClearRefs(text: string): ClearRefs {
  const type = kstrtoint(text.slice(0, NUMBER_CHARACTERS).trim());
  const known = Object.values(ClearRefs).find((value) => value === type);
  if (known === undefined)
    throw new KernelError(
      "EINVAL",
      `${type} clears nothing: write 1 to 3 for use, 4 for writes, 5 for the peak`,
    );
  return known;
}

/**
 * Forgets what `type` says of every page of an address space.
 *
 * @see clear_refs_write()
 */
export function* clearRefs(mm: MmStruct, type: ClearRefs): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  if (!mm.dead) {
    if (type === ClearRefs.hiwaterRss) mm.hiwaterRss = mm.rssPages;
    else if (type === ClearRefs.softDirty) yield* forgetWrites(mm);
    else yield* walkAll(mm, usePassedOver(mm, type));
  }
  mm.mmapLock.upWrite();
}

/** Every page that may be written is made to fault first, for the next write to be seen. */
function* forgetWrites(mm: MmStruct): Sleeps<void> {
  for (const vma of mm.vmas) vma.flags &= ~VmFlag.SOFTDIRTY;
  const range: MmuNotifierRange = {
    mm,
    start: virtAddr(0),
    end: virtAddr(TASK_SIZE),
    event: MmuNotifyEvent.SoftDirty,
  };
  yield* invalidateRangeStart(range);
  yield* walkAll(mm, {
    pmdEntry(pmd, _address, _next, { vma }) {
      if (vma && (mm.pageTable.flags(pmd) & Pte.table) === 0) clearSoftDirty(vma, pmd);
      return 0;
    },
    *pteRange(first, address, next, { vma }) {
      const last = first + (next - address) / 4096;
      if (vma) for (let entry = first; entry < last; entry++) clearSoftDirty(vma, entry);
      yield condResched;
      return 0;
    },
    testWalk: (_start, _end, { vma }) => Number(isUncounted(vma)),
  });
  yield* invalidateRangeEnd(range);
}

/** @see clear_soft_dirty() */
function clearSoftDirty(vma: Vma, entry: number): void {
  const { pageTable } = vma.mm;
  const flags = pageTable.flags(entry);
  if (flags === 0) return;
  if ((flags & Pte.present) === 0) pageTable.setFlags(entry, flags & ~Pte.softDirty);
  else if (!isPinned(vma, entry)) pageTable.setFlags(entry, flags & ~(Pte.softDirty | Pte.write));
}

/** A page that a device may write to stays writable: its next fault would copy it, and the device would write to the old one. @see pte_is_pinned() */
function isPinned({ mm, flags: vmFlags }: Vma, entry: number): boolean {
  const flags = mm.pageTable.flags(entry);
  if (!mm.hasPinned || (flags & Pte.write) === 0 || !isCowMapping(vmFlags)) return false;
  return (flags & Pte.special) === 0 && pageMaybeDmaPinned(mm.vm, entryPage(mm.pageTable.value(entry)));
}

/** Clears the marks of use of the kinds of mappings that are meant. */
function usePassedOver(mm: MmStruct, type: ClearRefs): SleepingWalkOps {
  const { pageTable } = mm;
  return {
    pmdEntry(pmd) {
      if ((pageTable.flags(pmd) & Pte.table) === 0) clearUse(mm, pmd);
      return 0;
    },
    *pteRange(first, address, next) {
      const last = first + (next - address) / 4096;
      for (let entry = first; entry < last; entry++) clearUse(mm, entry);
      yield condResched;
      return 0;
    },
    testWalk(_start, _end, { vma }) {
      const unwanted = vma?.file ? ClearRefs.anon : ClearRefs.mapped;
      return Number(isUncounted(vma) || type === unwanted);
    },
  };
}

function clearUse({ vm: { memmap }, pageTable }: MmStruct, entry: number): void {
  const flags = pageTable.flags(entry);
  if ((flags & (Pte.present | Pte.special)) !== Pte.present) return;
  pageTable.setFlags(entry, flags & ~Pte.accessed);
  memmap.clear(memmap.compoundHead(entryPage(pageTable.value(entry))), PageFlag.young | PageFlag.referenced);
}

/** Frames that nobody counts, and pages of the pool, whose use nobody tracks. */
function isUncounted(vma: Vma | undefined): boolean {
  return vma === undefined || (vma.flags & (VmFlag.PFNMAP | VmFlag.HUGETLB)) !== 0;
}

function* walkAll(mm: MmStruct, ops: SleepingWalkOps): Sleeps<void> {
  yield* walkPageRangeSleeping(mm, virtAddr(0), virtAddr(TASK_SIZE), ops);
}
