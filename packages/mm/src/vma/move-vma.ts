// Moving a mapping for mremap(): a copy of the mapping is made at the new address, its entries are moved, and the old
// range is unmapped. If moving the entries fails, they move back and the copy is unmapped. Kernel counterparts:
// move_vma() in mm/mremap.c, copy_vma() in mm/mmap.c.
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { enterVma } from "./adjust.ts";
import { checkMapCount, vmStatAccount } from "./commit.ts";
import { vmaMerge } from "./merge.ts";
import { movePageTables } from "./move-page-tables.ts";
import { doMunmap } from "./munmap.ts";
import { copyVma, splitVma } from "./split.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import { describeVma, type Vma } from "./vma.ts";
import { VM_LOCKED_MASK, VmFlag } from "./vm-flags.ts";

/** The range that moves, and its new address and length. Lengths are bytes. */
export interface VmaMove {
  readonly vma: Vma;
  readonly start: VirtAddr;
  readonly length: number;
  readonly target: VirtAddr;
  readonly newLength: number;
  /** The old mapping stays, without pages. @see MREMAP_DONTUNMAP */
  readonly keepSource: boolean;
}

/**
 * Moves a range of a mapping. The mmap lock is held for writing. After an error everything is at its old address.
 *
 * @returns the new start address
 * @throws KernelError ENOMEM when vm.max_map_count or overcommit doesn't allow the move, or memory for page tables is
 *   missing; and the errors of the driver's mremap() and maySplit()
 * @see move_vma()
 */
export function* moveVma(move: VmaMove): Sleeps<VirtAddr> {
  const { start, length, target, newLength, keepSource } = move;
  const { mm, flags } = move.vma;
  yield* checkMove(move);
  const extra = (keepSource ? newLength : newLength - length) / PAGE_SIZE;
  const accounted = (flags & VmFlag.ACCOUNT) !== 0;
  if (accounted) mm.vm.commit.charge(mm, extra);
  const peak = mm.hiwaterVm;
  const [source, copy] = yield* copyTo(move);
  if ((flags & VmFlag.LOCKED) !== 0) mm.lockedVm += newLength / PAGE_SIZE;
  const failure = yield* moveEntries({ ...move, vma: source }, copy);
  // Unmapping the source or, after a failure, the target uncharges `length` bytes that the other range still needs.
  if (accounted && !keepSource) mm.vm.commit.pages += length / PAGE_SIZE;
  if (failure) {
    yield* doMunmap(mm, target, newLength);
    mm.hiwaterVm = peak;
    throw failure;
  }
  if (keepSource) {
    yield* resetSource(source, start, length);
    return target;
  }
  yield* unmapSource(mm, start, length);
  mm.hiwaterVm = peak;
  return target;
}

/** Makes the checks that can fail, before anything has changed. */
function* checkMove({ vma, start, length, keepSource }: VmaMove): Sleeps<void> {
  const { mm } = vma;
  const end = (start + length) as VirtAddr;
  // Unmapping the middle of the old mapping leaves up to three mappings.
  checkMapCount(mm, mm.vm.tunables.maxMapCount - 3);
  if (vma.start !== start) vma.ops?.maySplit?.(vma, start);
  if (vma.end !== end) vma.ops?.maySplit?.(vma, end);
  if (!keepSource || (vma.flags & VmFlag.LOCKED) === 0) return;
  // Only the moved range loses VM_LOCKED; the rest of the old mapping must keep it.
  if (vma.start !== start) yield* splitVma(vma, start, "below");
  if (vma.end !== end) yield* splitVma(vma, end, "above");
}

/**
 * Makes the target mapping.
 *
 * @returns the mapping that holds the old range, which a merge may have changed, and the mapping of the new range
 * @see copy_vma()
 */
function* copyTo({ vma, start, target, newLength, keepSource }: VmaMove): Sleeps<[Vma, Vma]> {
  const { mm } = vma;
  const end = (target + newLength) as VirtAddr;
  // A mapping without an anon_vma has no pages whose offset must be kept. Offsets of the new address make a merge
  // there more likely.
  const untouched = vma.anonymous && !vma.anonVma;
  const pgoff = untouched ? target / PAGE_SIZE : vma.pgoffOf(start);
  const touches = target === vma.end || vma.start === end;
  if (!(untouched && keepSource && touches)) {
    const prev = mm.vmas.get(mm.vmas.indexFrom(target) - 1);
    const { flags, anonVma, file, policy } = vma;
    const merged = yield* vmaMerge(mm, prev, { start: target, end, flags, anonVma, file, pgoff, policy });
    if (merged) {
      vmStatAccount(mm, merged.flags, newLength / PAGE_SIZE);
      return [mm.vmas.at(start) ?? vma, merged];
    }
  }
  const copy = copyVma(vma, target, end);
  copy.pgoff = pgoff;
  copy.ops?.open?.(copy);
  yield* enterVma(copy, vma);
  return [vma, copy];
}

/** @returns the reason of a failure, after which all entries were moved back */
function* moveEntries({ vma, start, length, target }: VmaMove, copy: Vma): Sleeps<KernelError | undefined> {
  const there = { from: vma, start, to: copy, target, length };
  const moved = yield* movePageTables(there);
  const failure = moved < length ? noTables(vma) : refusalOf(copy);
  if (failure) yield* movePageTables({ from: copy, start: target, to: vma, target: start, length: moved });
  return failure;
}

function noTables(vma: Vma): KernelError {
  return new KernelError("ENOMEM", `no memory for the page tables that ${describeVma(vma)} needs elsewhere`);
}

function refusalOf(copy: Vma): KernelError | undefined {
  try {
    copy.ops?.mremap?.(copy);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
}

/**
 * MREMAP_DONTUNMAP: the old mapping becomes one that was never touched, without lock, anon_vma and old page offsets.
 */
function* resetSource(vma: Vma, start: VirtAddr, length: number): Sleeps<void> {
  if ((vma.flags & VmFlag.LOCKED) !== 0) vma.mm.lockedVm -= length / PAGE_SIZE;
  vma.flags &= ~VM_LOCKED_MASK;
  if (vma.start !== start || vma.end !== start + length) return;
  const locks = yield* takeRmapLocks(vma);
  vma.mm.vm.anonVmas.unlink(vma);
  dropRmapLocks(locks);
  if (vma.anonymous && !vma.file) vma.pgoff = vma.start / PAGE_SIZE;
}

/** Unmaps the old range. The move has succeeded, so a range that can't be split off stays mapped and counted. */
function* unmapSource(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  if (length === 0) return;
  try {
    yield* doMunmap(mm, start, length);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
