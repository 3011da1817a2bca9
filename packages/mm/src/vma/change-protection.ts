// Giving the entries of a range the access bits that their mapping now has, for mprotect(). An entry gets the write
// bit only if a write fault would do nothing else; otherwise the next write faults. NUMA hinting entries are made by
// the package migrate. Kernel counterparts: change_protection() and change_pte_range() in mm/mprotect.c. NUMA hinting
// entries are made by the package migrate.
import { condResched, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, entryPage, KIND_MASK, PMD_SIZE, Pte } from "@hetmem/page-table";
import { splitHugeAt } from "../huge/split-huge-at.ts";
import { pageAnon } from "../rmap/map-counts.ts";
import { vmaPageProt, vmaWantsWritenotify } from "./page-prot.ts";
import { VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/**
 * Sets the access bits of the entries in [start, end) to those of their mapping. The mmap lock is held for writing.
 *
 * @returns number of entries that were changed
 * @see change_protection()
 */
export function* changeProtection(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const { mm } = vma;
  const { pageTable } = mm;
  const first = pageTable.nextPopulated(start, end);
  if (first >= end) return 0;
  const change = changeFor(vma);
  const range: MmuNotifierRange = { mm, start: first, end, event: MmuNotifyEvent.ProtectionVma };
  let changed = 0;
  yield* invalidateRangeStart(range);
  for (let at = first; at < end; at = pageTable.nextPopulated(at, end)) {
    const region = at - (at % PMD_SIZE);
    const stop = Math.min(end, region + PMD_SIZE) as VirtAddr;
    // A huge page that reaches beyond an end of the range is split there first.
    yield* splitHugeAt(vma, at);
    yield* splitHugeAt(vma, stop);
    changed += changeRegion(vma, at, stop, change);
    at = stop;
    yield condResched;
  }
  yield* invalidateRangeEnd(range);
  return changed;
}

/** New access bits for entries. */
interface Change {
  /** Pte bits from vmaPageProt(). */
  readonly prot: number;
  /** Whether an entry may keep or get the write bit when a write fault on it would only set that bit. */
  readonly tryWritable: boolean;
}

/** @see mprotect_fixup(): MM_CP_TRY_CHANGE_WRITABLE */
function changeFor(vma: Vma): Change {
  const shared = (vma.flags & VmFlag.SHARED) !== 0;
  const tryWritable = shared ? vmaWantsWritenotify(vma) : (vma.flags & VmFlag.WRITE) !== 0;
  return { prot: vmaPageProt(vma), tryWritable };
}

/** Changes the entries of one 2 MiB. Atomic. @see change_pte_range(), change_huge_pmd() */
function changeRegion(vma: Vma, start: VirtAddr, end: VirtAddr, change: Change): number {
  const { pageTable } = vma.mm;
  const pmd = pageTable.findPmd(start);
  const flags = pageTable.flags(pmd);
  if (flags === 0) return 0;
  // A huge entry doesn't get the write bit here; the next write faults.
  if ((flags & Pte.table) === 0)
    return changeEntry(vma, pmd, { ...change, tryWritable: false }) ? PMD_SIZE / 4096 : 0;
  const first = pageTable.tableUnder(pmd) + (start % PMD_SIZE) / 4096;
  const last = first + (end - start) / 4096;
  let changed = 0;
  for (let entry = first; entry < last; entry++) if (changeEntry(vma, entry, change)) changed++;
  return changed;
}

function changeEntry(vma: Vma, entry: number, change: Change): boolean {
  const { pageTable, vm } = vma.mm;
  const flags = pageTable.flags(entry);
  if (flags === 0) return false;
  const value = pageTable.value(entry);
  if ((flags & Pte.present) === 0) {
    const readable = readOnlyNonPresent(flags, () => pageAnon(vm, entryPage(value)));
    if (readable === flags) return false;
    pageTable.setFlags(entry, readable);
    return true;
  }
  let changed = (flags & ~(Pte.write | Pte.protnone)) | change.prot;
  if (change.tryWritable && canChangeWritable(vma, value, changed)) changed |= Pte.write;
  pageTable.setFlags(entry, changed);
  return true;
}

/** Whether a write fault on the entry would only set the write bit. @see can_change_pte_writable() */
function canChangeWritable({ flags: vmFlags, mm: { vm } }: Vma, value: number, flags: number): boolean {
  if ((flags & (Pte.protnone | Pte.dirty)) !== Pte.dirty) return false;
  if ((vmFlags & VmFlag.SOFTDIRTY) === 0 && (flags & Pte.softDirty) === 0) return false;
  if ((vmFlags & VmFlag.SHARED) !== 0) return true;
  if ((flags & (Pte.special | Pte.devmap)) !== 0) return false;
  const page = entryPage(value);
  return pageAnon(vm, page) && vm.memmap.test(page, PageFlag.anonExclusive);
}

/** The flags of an entry that isn't present, changed so that its page comes back read-only. */
function readOnlyNonPresent(flags: number, anonymous: () => boolean): number {
  const rest = flags & ~KIND_MASK;
  switch (entryKind(flags)) {
    case EntryKind.migrationWrite:
      // A writable anonymous page is exclusive to this process, and the entry must keep that.
      return rest | (anonymous() ? EntryKind.migrationReadExclusive : EntryKind.migrationRead);
    case EntryKind.devicePrivateWrite:
      return rest | EntryKind.devicePrivateRead;
    case EntryKind.deviceExclusiveWrite:
      return rest | EntryKind.deviceExclusiveRead;
    default:
      return flags;
  }
}
