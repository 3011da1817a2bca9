// One trial of a charging: a machine with swap whose Vm has the charging, and processes of two payers. Obligations are written in
// the verbs of this file.
import {
  bugOn,
  KernelBug,
  MiB,
  nodeId,
  type Page,
  PAGE_SIZE,
  run,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { madvise } from "@hetmem/madvise";
import {
  allocMm,
  Madv,
  MapFlag,
  mmap,
  type MmStruct,
  type Process,
  Prot,
  type Tunables,
  writeUser,
} from "@hetmem/mm";
import { hugePmd } from "@hetmem/mm/huge";
import { NULL_PAGE } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { GFP_HIGHUSER_MOVABLE, type Memory } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { at, type TrialMachine, trialMachine } from "../machine.ts";
import { finishes } from "../steps.ts";
import { demand } from "../violation.ts";
import type { ChargingOfTrial, ChargingUnderTest } from "./charging.ts";

/** Small pages that every process maps at at(0). */
const PAGES = 8;
/** Attempts of fill(). */
const FILL_MAX = 12;
/** The OOM killer spares processes with this score. @see OOM_SCORE_ADJ_MIN */
const UNKILLABLE = -1000;

export interface Trial {
  readonly seed: number;
  readonly machine: TrialMachine;
  readonly subject: ChargingOfTrial;
  readonly first: number;
  readonly second: number;
}

export interface TrialOptions {
  /** Bytes of RAM: 4 MiB when absent. */
  readonly ram?: number;
  readonly tunables?: Partial<Tunables>;
}

interface Rule extends TrialOptions {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial): Sleeps<void>;
}

/** An obligation whose trial is one task. */
export function obligation({
  name,
  sentence,
  try: attempt,
  ...options
}: Rule): Obligation<ChargingUnderTest> {
  return {
    name,
    sentence,
    attempt: (subject, seed) => run(attempt(createTrial(subject, seed, options))),
  };
}

export function createTrial(subject: ChargingUnderTest, seed: number, options: TrialOptions = {}): Trial {
  const { tunables, ...ram } = options;
  let made: ChargingOfTrial | undefined;
  const machine = trialMachine({
    ...ram,
    parts(memory: Memory) {
      made = subject.create(memory);
      return { charging: made.charging, ...(tunables && { tunables }) };
    },
  });
  if (made === undefined) throw new KernelBug("the machine of the kit was made without its charging");
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: MiB });
  const [first, second] = made.payers;
  return { seed, machine, subject: made, first, second };
}

/** Makes a process whose pages are charged to a payer, with PAGES pages of anonymous memory and the page tables for them. */
export function* spawn(trial: Trial, payer: number): Sleeps<Process> {
  const { vm } = trial.machine;
  const mm = allocMm(vm, nodeId(0), 0, payer);
  if (mm === undefined) throw new KernelBug("the machine of the kit has no room for a process");
  const process = vm.processes.add("process", mm, undefined);
  process.oomScoreAdj = UNKILLABLE;
  yield* mapPages(mm, 0, PAGES);
  yield* touch(process, PAGES - 1, 1);
  return process;
}

/** Maps anonymous memory at at(page). */
export function* mapPages(mm: MmStruct, page: number, pages: number): Sleeps<void> {
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  yield* mmap(mm, { address: at(page), length: pages * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags });
}

/** The process writes to pages. @throws Violation when it gets a signal */
export function* touch(process: Process, page: number, pages: number): Sleeps<void> {
  for (let i = page; i < page + pages; i++) {
    const signal = yield* writeUser(process, at(i), Uint8Array.of(1));
    demand(signal === undefined, `a write to page ${i} ends in ${signal?.signo}: ${signal?.reason}`);
  }
}

/** The process gives pages up, and keeps its page tables. */
export function discard(process: Process, page: number, pages: number): Sleeps<unknown> {
  return madvise(mmOf(process), at(page), pages * PAGE_SIZE, Madv.DONTNEED);
}

/** Writes pages of the process to swap. */
export function pageout(process: Process, page: number, pages: number): Sleeps<unknown> {
  return madvise(mmOf(process), at(page), pages * PAGE_SIZE, Madv.PAGEOUT);
}

export function mmOf({ mm, pid }: Process): MmStruct {
  if (mm === undefined) throw new KernelBug(`process ${pid} has exited`);
  return mm;
}

/** The page that is mapped at an address, the head for a huge one. @throws KernelBug where none is */
export function pageAt(process: Process, address: VirtAddr): Page {
  const { pageTable } = mmOf(process);
  const huge = hugePmd(pageTable, address);
  const entry = huge === NO_ENTRY ? pageTable.find(address) : huge;
  bugOn(
    entry === NO_ENTRY || (pageTable.flags(entry) & Pte.present) === 0,
    `nothing is mapped at 0x${address.toString(16)}`,
  );
  return pageTable.value(entry) as Page;
}

/** Pages charged to both payers. */
export function charges({ subject, first, second }: Trial): readonly [first: number, second: number] {
  return [subject.charged(first), subject.charged(second)];
}

/** Pages that a discard of pages takes off the accounts. */
export function* releasedBy(trial: Trial, body: () => Sleeps<unknown>): Sleeps<number> {
  const before = total(trial);
  yield* body();
  return before - total(trial);
}

export function total(trial: Trial): number {
  const [first, second] = charges(trial);
  return first + second;
}

/**
 * Allocates pages for an address space until one is refused.
 *
 * @returns the pages, and how it ended: "endless" when the charge of one went on and on
 */
export function* fill(
  { machine: { vm } }: Trial,
  mm: MmStruct,
  most: number = FILL_MAX,
): Sleeps<{ readonly pages: readonly Page[]; readonly end: "full" | "refused" | "endless" }> {
  const pages: Page[] = [];
  while (pages.length < most) {
    const finished = yield* finishes(vm.pages.alloc(GFP_HIGHUSER_MOVABLE, 0, nodeId(0), mm));
    if (finished === undefined) return { pages, end: "endless" };
    if (finished.result === NULL_PAGE) return { pages, end: "refused" };
    pages.push(finished.result);
  }
  return { pages, end: "full" };
}
