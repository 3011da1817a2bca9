// Writes to /proc/PID/clear_refs: clear the accessed or soft-dirty bits of all pages of a process, so that a later read
// of smaps or pagemap shows which pages were accessed or written since. Kernel counterpart: clear_refs_write() in
// fs/proc/task_mmu.c, Documentation/admin-guide/mm/soft-dirty.rst.
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

/** Numbers that can be written. @see enum clear_refs_types */
export const ClearRefs = {
  /** Clears the accessed bits of all pages. */
  all: 1,
  /** Clears the accessed bits of mappings without a file. */
  anon: 2,
  /** Clears the accessed bits of mappings of files. */
  mapped: 3,
  /** Clears the soft-dirty bits of all pages. */
  softDirty: 4,
  /** Sets the peak of the resident set (VmHWM) to its present size. */
  hiwaterRss: 5,
} as const;
export type ClearRefs = (typeof ClearRefs)[keyof typeof ClearRefs];

/** Characters of a write that the kernel reads. @see PROC_NUMBUF */
const NUMBER_CHARACTERS = 12;

/**
 * Parses what was written.
 *
 * @throws KernelError EINVAL for anything but 1 to 5, ERANGE for a number that isn't an int
 */
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
 * Clears the bits of all pages of an address space.
 *
 * @param type which bits, of which mappings
 * @see clear_refs_write()
 */
export function* clearRefs(mm: MmStruct, type: ClearRefs): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  if (!mm.dead) {
    if (type === ClearRefs.hiwaterRss) mm.hiwaterRss = mm.rssPages;
    else if (type === ClearRefs.softDirty) yield* clearSoftDirtyBits(mm);
    else yield* walkAll(mm, clearAccessedOps(mm, type));
  }
  mm.mmapLock.upWrite();
}

/** Clears soft-dirty bits, and write-protects the entries, so that the next write faults and is recorded. */
function* clearSoftDirtyBits(mm: MmStruct): Sleeps<void> {
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

/** Clears the soft-dirty bit of an entry, and write-protects it. @see clear_soft_dirty() */
function clearSoftDirty(vma: Vma, entry: number): void {
  const { pageTable } = vma.mm;
  const flags = pageTable.flags(entry);
  if (flags === 0) return;
  if ((flags & Pte.present) === 0) pageTable.setFlags(entry, flags & ~Pte.softDirty);
  else if (!isPinned(vma, entry)) pageTable.setFlags(entry, flags & ~(Pte.softDirty | Pte.write));
}

/**
 * Whether a copy-on-write page may be pinned, and so must stay writable. A fault on a write-protected entry would copy
 * it, and the device would go on writing to the old page.
 *
 * @see pte_is_pinned()
 */
function isPinned({ mm, flags: vmFlags }: Vma, entry: number): boolean {
  const flags = mm.pageTable.flags(entry);
  if (!mm.hasPinned || (flags & Pte.write) === 0 || !isCowMapping(vmFlags)) return false;
  return (flags & Pte.special) === 0 && pageMaybeDmaPinned(mm.vm, entryPage(mm.pageTable.value(entry)));
}

/** Callbacks that clear the accessed bits, in mappings of the given type. */
function clearAccessedOps(mm: MmStruct, type: ClearRefs): SleepingWalkOps {
  const { pageTable } = mm;
  return {
    pmdEntry(pmd) {
      if ((pageTable.flags(pmd) & Pte.table) === 0) clearAccessed(mm, pmd);
      return 0;
    },
    *pteRange(first, address, next) {
      const last = first + (next - address) / 4096;
      for (let entry = first; entry < last; entry++) clearAccessed(mm, entry);
      yield condResched;
      return 0;
    },
    testWalk(_start, _end, { vma }) {
      const skippedType = vma?.file ? ClearRefs.anon : ClearRefs.mapped;
      return Number(isUncounted(vma) || type === skippedType);
    },
  };
}

/** Clears the accessed bit of an entry, and the flags of its page. */
function clearAccessed({ vm: { memmap }, pageTable }: MmStruct, entry: number): void {
  const flags = pageTable.flags(entry);
  if ((flags & (Pte.present | Pte.special)) !== Pte.present) return;
  pageTable.setFlags(entry, flags & ~Pte.accessed);
  memmap.clear(memmap.compoundHead(entryPage(pageTable.value(entry))), PageFlag.young | PageFlag.referenced);
}

/**
 * Whether a mapping is skipped: its frames have no counted pages, or it maps huge pages of the pool, whose accesses
 * aren't tracked.
 */
function isUncounted(vma: Vma | undefined): boolean {
  return vma === undefined || (vma.flags & (VmFlag.PFNMAP | VmFlag.HUGETLB)) !== 0;
}

function* walkAll(mm: MmStruct, ops: SleepingWalkOps): Sleeps<void> {
  yield* walkPageRangeSleeping(mm, virtAddr(0), virtAddr(TASK_SIZE), ops);
}
