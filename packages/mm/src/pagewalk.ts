// A walk over the page tables of a range, mapping by mapping and level by level, with callbacks. One walk serves
// callbacks that sleep and callbacks that don't: a callback is a plain function or a generator. walkPageRange() takes
// only plain functions and is atomic. Kernel counterpart: mm/pagewalk.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { ENTRIES, NO_ENTRY, PGDIR_SIZE, PMD_SIZE, Pte, PUD_SIZE } from "@hetmem/page-table";
import type { MmStruct } from "./mm-struct.ts";
import { mmapAssertLocked } from "./mmap-lock.ts";
import { VmFlag } from "./vma/vm-flags.ts";
import type { Vma } from "./vma/vma.ts";

/** The action below an entry after its callback. @see enum page_walk_action */
export const WalkAction = {
  /** Descends. */
  subtree: 0,
  /** Skips the subtree. */
  continue: 1,
  /** Examines the entry again, because the callback has changed it. */
  again: 2,
} as const;
export type WalkAction = (typeof WalkAction)[keyof typeof WalkAction];

/** State of a walk. @see struct mm_walk */
export interface MmWalk {
  readonly mm: MmStruct;
  /** The current mapping; undefined between mappings. */
  readonly vma: Vma | undefined;
  /** Set by callbacks of directory entries. */
  action: WalkAction;
}

/**
 * Callbacks of a walk, all of them optional. A callback gets the number of an entry and the part [address, next) of
 * the range under it. A callback returns 0 to continue; any other value ends the walk, which returns the value.
 *
 * @typeParam R number, or `number | Sleeps<number>` for callbacks that may sleep
 * @see struct mm_walk_ops
 */
export interface MmWalkOps<R extends number | Sleeps<number> = number> {
  /** An entry of the top directory that has a table. */
  pgdEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  pudEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** An entry of the middle directory that isn't empty: it has a table, maps 2 MiB, or is a non-present huge entry. */
  pmdEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /**
   * The entries of one table, including empty ones. `first` is the entry of `address`, and (next - address) / 4096
   * entries follow each other. One call per 2 MiB makes this the callback of long walks. Huge entries aren't split
   * for it.
   */
  pteRange?(first: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** Each entry of each table, including empty ones. pmdEntry must have split huge entries, or skip them. */
  pteEntry?(entry: number, address: VirtAddr, walk: MmWalk): R;
  /** A range without tables, without a mapping, or of a PFNMAP mapping. */
  pteHole?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** Called before each mapping. 0 walks it, a positive number skips it, a negative one ends the walk. */
  testWalk?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  preVma?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  postVma?(walk: MmWalk): void;
}

/** Result of a callback. */
type CallbackResult = number | Sleeps<number>;

const REGIONS_PER_BYTE = 2 ** -21;
const SLOT_MASK = ENTRIES - 1;

/** Callbacks that may be generators. */
export type SleepingWalkOps = MmWalkOps<number | Sleeps<number>>;

/**
 * Walks [start, end) without sleeping. The mmap lock is held.
 *
 * @returns 0, or the value with which a callback ended the walk
 * @throws KernelError EINVAL for an empty range
 * @throws KernelBug without the mmap lock, and when a callback sleeps
 * @see walk_page_range() in mm/pagewalk.c
 */
export function walkPageRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, ops: MmWalkOps): number {
  return withoutSleep(walkPageRangeSleeping(mm, start, end, ops));
}

/** Walks one whole mapping without sleeping. @see walk_page_vma() */
export function walkPageVma(vma: Vma, ops: MmWalkOps): number {
  return withoutSleep(walkPageVmaSleeping(vma, ops));
}

/**
 * walkPageRange() with callbacks that may sleep. A callback that drops the mmap lock must end the walk.
 *
 * @returns 0, or the value with which a callback ended the walk
 * @throws KernelError EINVAL for an empty range
 * @throws KernelBug without the mmap lock
 */
export function* walkPageRangeSleeping(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): Sleeps<number> {
  if (start < end) mmapAssertLocked(mm, "is walked");
  return yield* walkMappings(mm, start, end, ops);
}

/** walkPageRange() without the mmap lock, for invariants and reports, which run between the steps of tasks. */
export function snapshotRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, ops: MmWalkOps): number {
  return withoutSleep(walkMappings(mm, start, end, ops));
}

function* walkMappings(mm: MmStruct, start: VirtAddr, end: VirtAddr, ops: SleepingWalkOps): Sleeps<number> {
  if (start >= end) {
    throw new KernelError("EINVAL", `0x${start.toString(16)}-0x${end.toString(16)} holds no address to walk`);
  }
  for (let at = start, next = end; at < end; at = next) {
    const vma = mm.vmas.findFrom(at);
    const inside = vma !== undefined && vma.start <= at;
    next = smaller(end, inside ? vma.end : (vma?.start ?? end));
    const walk: MmWalk = { mm, vma: inside ? vma : undefined, action: WalkAction.subtree };
    const answer = inside ? walkVma(walk, vma, at, next, ops) : hole(ops, at, next, walk);
    const result = typeof answer === "number" ? answer : yield* answer;
    if (result !== 0) return result;
  }
  return 0;
}

/** walkPageVma() with callbacks that may sleep. */
export function* walkPageVmaSleeping(vma: Vma, ops: SleepingWalkOps): Sleeps<number> {
  const walk: MmWalk = { mm: vma.mm, vma, action: WalkAction.subtree };
  return yield* walkVma(walk, vma, vma.start, vma.end, ops);
}

function* walkVma(
  walk: MmWalk,
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): Sleeps<number> {
  const answer = testWalk(walk, vma, start, end, ops);
  const test = typeof answer === "number" ? answer : yield* answer;
  // A positive result of testWalk() skips the mapping, and isn't the result of the walk.
  if (test !== 0) return Math.min(test, 0);
  let before = ops.preVma ? ops.preVma(start, end, walk) : 0;
  if (typeof before !== "number") before = yield* before;
  if (before !== 0) return before;
  const result = yield* walkPgdRange(walk, start, end, ops);
  ops.postVma?.(walk);
  return result;
}

/** The test of a mapping. By default PFNMAP mappings are skipped and reported as holes. @see walk_page_test() */
function testWalk(
  walk: MmWalk,
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): CallbackResult {
  if (ops.testWalk) return ops.testWalk(start, end, walk);
  return (vma.flags & VmFlag.PFNMAP) === 0 ? 0 : skipReportedHole(hole(ops, start, end, walk));
}

function* walkPgdRange(walk: MmWalk, start: VirtAddr, end: VirtAddr, ops: SleepingWalkOps): Sleeps<number> {
  const { pageTable } = walk.mm;
  for (let at = start, next = end; at < end; at = next) {
    const entry = Math.floor(at / PGDIR_SIZE);
    next = smaller(end, ((entry + 1) * PGDIR_SIZE) as VirtAddr);
    const table = pageTable.tableUnder(entry);
    let result: CallbackResult;
    if (table === NO_ENTRY) {
      result = hole(ops, at, next, walk);
      if (typeof result !== "number") result = yield* result;
    } else {
      result = ops.pgdEntry ? ops.pgdEntry(entry, at, next, walk) : 0;
      if (typeof result !== "number") result = yield* result;
      if (result === 0) result = yield* walkPudRange(walk, table, at, next, ops);
    }
    if (result !== 0) return result;
  }
  return 0;
}

/** @param table first entry of the table */
function* walkPudRange(
  walk: MmWalk,
  table: number,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): Sleeps<number> {
  const { pageTable } = walk.mm;
  for (let at = start, next = end; at < end; at = next) {
    next = smaller(end, (at - (at % PUD_SIZE) + PUD_SIZE) as VirtAddr);
    const entry = table + (Math.floor(at / PUD_SIZE) % ENTRIES);
    const under = pageTable.tableUnder(entry);
    let result: CallbackResult;
    if (under === NO_ENTRY) {
      result = hole(ops, at, next, walk);
      if (typeof result !== "number") result = yield* result;
    } else {
      resetAction(walk);
      result = ops.pudEntry ? ops.pudEntry(entry, at, next, walk) : 0;
      if (typeof result !== "number") result = yield* result;
      if (result === 0 && walk.action === WalkAction.again) next = at;
      else if (result === 0 && walk.action === WalkAction.subtree)
        result = yield* walkPmdRange(walk, under, at, next, ops);
    }
    if (result !== 0) return result;
  }
  return 0;
}

/** The innermost loop for huge entries: without a sleeping callback, no generator is created per entry. */
function* walkPmdRange(
  walk: MmWalk,
  table: number,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): Sleeps<number> {
  const { pageTable } = walk.mm;
  for (let at = start, next = end; at < end; at = next) {
    // Multiplied rather than divided: addresses are past 2^31.
    const region = (at * REGIONS_PER_BYTE) | 0;
    next = smaller(end, ((region + 1) * PMD_SIZE) as VirtAddr);
    const entry = table + (region & SLOT_MASK);
    let result: CallbackResult;
    if (pageTable.flags(entry) === 0) {
      result = hole(ops, at, next, walk);
      if (typeof result !== "number") result = yield* result;
    } else {
      resetAction(walk);
      result = ops.pmdEntry ? ops.pmdEntry(entry, at, next, walk) : 0;
      if (typeof result !== "number") result = yield* result;
      if (result === 0 && walk.action === WalkAction.again) next = at;
      else if (result === 0 && walk.action === WalkAction.subtree) {
        result = walkPteRange(walk, entry, at, next, ops);
        if (typeof result !== "number") result = yield* result;
      }
    }
    if (result !== 0) return result;
  }
  return 0;
}

/** @param pmd the directory entry above, which wasn't empty when its callback was called */
function walkPteRange(
  walk: MmWalk,
  pmd: number,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): CallbackResult {
  const { pageTable } = walk.mm;
  if (ops.pteEntry && (pageTable.flags(pmd) & Pte.table) === 0) notSmall(start);
  const table = pageTable.tableUnder(pmd);
  if (table === NO_ENTRY) return 0;
  const first = table + (start % PMD_SIZE) / 4096;
  if (ops.pteEntry) return walkEachEntry(walk, first, start, end, ops);
  return ops.pteRange ? ops.pteRange(first, start, end, walk) : 0;
}

function* walkEachEntry(
  walk: MmWalk,
  first: number,
  start: VirtAddr,
  end: VirtAddr,
  ops: SleepingWalkOps,
): Sleeps<number> {
  let range = ops.pteRange ? ops.pteRange(first, start, end, walk) : 0;
  if (typeof range !== "number") range = yield* range;
  if (range !== 0 || !ops.pteEntry) return range;
  for (let at = start, entry = first; at < end; at = (at + 4096) as VirtAddr, entry++) {
    const answer = ops.pteEntry(entry, at, walk);
    const result = typeof answer === "number" ? answer : yield* answer;
    if (result !== 0) return result;
  }
  return 0;
}

function hole(ops: SleepingWalkOps, start: VirtAddr, end: VirtAddr, walk: MmWalk): CallbackResult {
  return ops.pteHole ? ops.pteHole(start, end, walk) : 0;
}

/** The result for a mapping that was reported as a hole: 1 skips it. */
function skipReportedHole(answer: CallbackResult): CallbackResult {
  if (typeof answer === "number") return answer === 0 ? 1 : answer;
  return skipReportedHoleLater(answer);
}

function* skipReportedHoleLater(answer: Sleeps<number>): Sleeps<number> {
  return skipReportedHole(yield* answer) as number;
}

/** Sets the default action before the callback of an entry. */
function resetAction(walk: MmWalk): void {
  walk.action = WalkAction.subtree;
}

function notSmall(address: VirtAddr): never {
  throw new KernelBug(
    `a walk of small entries met 2 MiB at 0x${address.toString(16)}: take them in pmdEntry`,
  );
}

function smaller(a: VirtAddr, b: VirtAddr): VirtAddr {
  return a < b ? a : b;
}

function withoutSleep(walk: Sleeps<number>): number {
  const step = walk.next();
  if (step.done) return step.value;
  throw new KernelBug(`an atomic walk of page tables had to wait for ${step.value.why}`);
}
