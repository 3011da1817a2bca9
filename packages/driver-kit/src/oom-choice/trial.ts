// One trial of a choice of the OOM killer: a machine with processes, and a shortage for which the choice is asked. Nothing kills
// here: a trial looks at the answer alone.
import { KernelBug, nodeId, PAGE_SIZE, run, type Sleeps } from "@hetmem/kernel";
import { allocMm, MapFlag, mmap, Process, Prot, type Vm, writeUser } from "@hetmem/mm";
import type { OomChoice, OomControl } from "@hetmem/mm/ports";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { at, type TrialMachine, trialMachine } from "../machine.ts";

/** Pages of the shortage, as if the machine were larger: oom_score_adj counts in thousandths of them. */
const TOTAL_PAGES = 100_000;

/** A choice of victims, as the kit makes it. */
export interface OomChoiceUnderTest {
  /** For reports. */
  readonly name: string;
  /** Makes the choice of one machine. Called once for each machine. */
  create(vm: Vm): OomChoice;
}

export interface Trial {
  readonly seed: number;
  readonly machine: TrialMachine;
  readonly choice: OomChoice;
}

interface Rule {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial, subject: OomChoiceUnderTest): Sleeps<void>;
}

export function obligation({ name, sentence, try: attempt }: Rule): Obligation<OomChoiceUnderTest> {
  return { name, sentence, attempt: (subject, seed) => run(attempt(createTrial(subject, seed), subject)) };
}

export function createTrial(subject: OomChoiceUnderTest, seed: number): Trial {
  const machine = trialMachine({ parts: () => ({ oomChoice: (vm) => subject.create(vm) }) });
  return { seed, machine, choice: machine.vm.oomChoice };
}

/** Starts a process that has written to pages. @param adj its oom_score_adj */
export function* spawn({ machine: { vm } }: Trial, pages: number, adj = 0): Sleeps<Process> {
  const process = vm.processes.add("process", newMm(vm), undefined);
  process.oomScoreAdj = adj;
  yield* populate(process, pages);
  return process;
}

/** The process with pid 1, which no machine of the model starts by itself, with pages of its own. */
export function* init({ machine: { vm } }: Trial, pages: number): Sleeps<Process> {
  const process = new Process(1, "init", newMm(vm), undefined, vm.processes.init);
  yield* populate(process, pages);
  return process;
}

/** A shortage of the machine with these candidates. */
export function shortage(candidates: readonly Process[]): OomControl {
  return {
    current: candidates[0],
    gfp: GFP_HIGHUSER_MOVABLE,
    order: 0,
    constraint: "CONSTRAINT_NONE",
    scope: "global_oom",
    message: "Out of memory",
    totalPages: TOTAL_PAGES,
    candidates: () => candidates,
  };
}

/** Asks for a victim. */
export function choose(trial: Trial, candidates: readonly Process[]): Process | "dying" | undefined {
  return trial.choice.selectBadProcess(shortage(candidates));
}

/** An answer in words. */
export function named(chosen: Process | "dying" | undefined): string {
  return chosen instanceof Process ? `process ${chosen.pid}` : `${chosen}`;
}

function newMm(vm: Vm): NonNullable<Process["mm"]> {
  const mm = allocMm(vm, nodeId(0));
  if (mm === undefined) throw new KernelBug("the machine of the kit has no room for a process");
  return mm;
}

function* populate(process: Process, pages: number): Sleeps<void> {
  const { mm } = process;
  if (mm === undefined) return;
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  yield* mmap(mm, { address: at(0), length: pages * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags });
  for (let i = 0; i < pages; i++) yield* writeUser(process, at(i), Uint8Array.of(1));
}
