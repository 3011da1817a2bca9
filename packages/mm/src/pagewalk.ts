// Walks the page tables under a range of addresses, mapping by mapping and level by level, and calls back at what it
// meets. One walk serves callers that sleep in their callbacks and callers that don't: a callback is a plain function or
// a generator, and walkPageRange() takes plain ones only and is atomic. Kernel counterpart: mm/pagewalk.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { ENTRIES, NO_ENTRY, PGDIR_SIZE, PMD_SIZE, Pte, PUD_SIZE } from "@hetmem/page-table";
import type { MmStruct } from "./mm-struct.ts";
import { mmapAssertLocked } from "./mmap-lock.ts";
import { VmFlag } from "./vma/vm-flags.ts";
import type { Vma } from "./vma/vma.ts";

/** What a walk does below an entry once its callback has returned. @see enum page_walk_action */
export const WalkAction = {
  /** Goes down. */
  subtree: 0,
  /** Leaves out what is below. */
  continue: 1,
  /** Looks at the entry anew: the callback has changed it. */
  again: 2,
} as const;
export type WalkAction = (typeof WalkAction)[keyof typeof WalkAction];

/** Where a walk is. @see struct mm_walk */
export interface MmWalk {
  readonly mm: MmStruct;
  /** The mapping that is walked, undefined between mappings. */
  readonly vma: Vma | undefined;
  /** For the callbacks of directories to set. */
  action: WalkAction;
}

/**
 * What to do at each thing that a walk meets; all may be absent, and what nobody asks for is passed over. Each is given
 * the number of an entry and the part [address, next) of the range that lies under it, and says 0 to go on. Anything
 * else ends the walk, which returns it.
 *
 * @typeParam R number, or number | Sleeps<number> where the callbacks may sleep
 * @see struct mm_walk_ops
 */
export interface MmWalkOps<R extends number | Sleeps<number> = number> {
  /** A directory entry that has a table. */
  pgdEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  pudEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** Any that isn't empty: it has a table, or maps 2 MiB, or stands for 2 MiB that are elsewhere. */
  pmdEntry?(entry: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /**
   * The entries of one table, empty ones among them: `first` is that of `address`, and (next - address) / 4096 follow.
   * It costs one call for 2 MiB, so this is what long walks are made of. Nothing is split for it.
   */
  pteRange?(first: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** Each entry of each table, empty ones too. Where 2 MiB are mapped, pmdEntry must have split them or said to go on. */
  pteEntry?(entry: number, address: VirtAddr, walk: MmWalk): R;
  /** A range without tables, or without mappings, or with frames that nobody counts. */
  pteHole?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  /** Before a mapping: 0 walks it, a positive number leaves it out, a negative one ends the walk. */
  testWalk?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  preVma?(address: VirtAddr, next: VirtAddr, walk: MmWalk): R;
  postVma?(walk: MmWalk): void;
}

/** What a callback says, at once or after a sleep. */
type Said = number | Sleeps<number>;

const REGIONS_PER_BYTE = 2 ** -21;
const SLOT_MASK = ENTRIES - 1;

/** Ops whose callbacks may be generators. */
export type SleepingWalkOps = MmWalkOps<number | Sleeps<number>>;

/**
 * Walks [start, end) without sleeping. The mmap lock is held.
 *
 * @returns 0, or what a callback ended the walk with
 * @throws KernelError EINVAL for an empty range
 * @throws KernelBug without the mmap lock, and when a callback that was a plain function slept all the same
 * @see walk_page_range() in mm/pagewalk.c
 */
export function walkPageRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, ops: MmWalkOps): number {
  return withoutSleep(walkPageRangeSleeping(mm, start, end, ops));
}

/** The same for the whole of one mapping. @see walk_page_vma() */
export function walkPageVma(vma: Vma, ops: MmWalkOps): number {
  return withoutSleep(walkPageVmaSleeping(vma, ops));
}

/**
 * The same with callbacks that may sleep. The mmap lock stays held, or the callback ends the walk.
 *
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

/** The same for who looks at all of it between two steps of anybody, and needs no lock. */
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
    const said = inside ? walkVma(walk, vma, at, next, ops) : hole(ops, at, next, walk);
    const result = typeof said === "number" ? said : yield* said;
    if (result !== 0) return result;
  }
  return 0;
}

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
  const said = testWalk(walk, vma, start, end, ops);
  const test = typeof said === "number" ? said : yield* said;
  // Positive answers are between the test and the walk, and nobody else's.
  if (test !== 0) return Math.min(test, 0);
  let before = ops.preVma ? ops.preVma(start, end, walk) : 0;
  if (typeof before !== "number") before = yield* before;
  if (before !== 0) return before;
  const result = yield* walkPgdRange(walk, start, end, ops);
  ops.postVma?.(walk);
  return result;
}

/** Frames without struct pages aren't walked, unless the caller wants to decide: holes are all that they are to most. @see walk_page_test() */
function testWalk(walk: MmWalk, vma: Vma, start: VirtAddr, end: VirtAddr, ops: SleepingWalkOps): Said {
  if (ops.testWalk) return ops.testWalk(start, end, walk);
  return (vma.flags & VmFlag.PFNMAP) === 0 ? 0 : leftOut(hole(ops, start, end, walk));
}

function* walkPgdRange(walk: MmWalk, start: VirtAddr, end: VirtAddr, ops: SleepingWalkOps): Sleeps<number> {
  const { pageTable } = walk.mm;
  for (let at = start, next = end; at < end; at = next) {
    const entry = Math.floor(at / PGDIR_SIZE);
    next = smaller(end, ((entry + 1) * PGDIR_SIZE) as VirtAddr);
    const table = pageTable.tableUnder(entry);
    let result: Said;
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
    let result: Said;
    if (under === NO_ENTRY) {
      result = hole(ops, at, next, walk);
      if (typeof result !== "number") result = yield* result;
    } else {
      goDown(walk);
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

/** Where 2 MiB are mapped, this is the innermost loop: no generator is made for an entry, unless its callback is one. */
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
    let result: Said;
    if (pageTable.flags(entry) === 0) {
      result = hole(ops, at, next, walk);
      if (typeof result !== "number") result = yield* result;
    } else {
      goDown(walk);
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

/** @param pmd the directory entry above, which isn't empty when this begins */
function walkPteRange(walk: MmWalk, pmd: number, start: VirtAddr, end: VirtAddr, ops: SleepingWalkOps): Said {
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
    const said = ops.pteEntry(entry, at, walk);
    const result = typeof said === "number" ? said : yield* said;
    if (result !== 0) return result;
  }
  return 0;
}

function hole(ops: SleepingWalkOps, start: VirtAddr, end: VirtAddr, walk: MmWalk): Said {
  return ops.pteHole ? ops.pteHole(start, end, walk) : 0;
}

/** A mapping whose place in the range has been told as a hole isn't walked. */
function leftOut(said: Said): Said {
  if (typeof said === "number") return said === 0 ? 1 : said;
  return leftOutLater(said);
}

function* leftOutLater(said: Sleeps<number>): Sleeps<number> {
  return leftOut(yield* said) as number;
}

/** What is done below an entry unless its callback decides otherwise. */
function goDown(walk: MmWalk): void {
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
