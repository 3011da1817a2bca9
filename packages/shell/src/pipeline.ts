// The stages of a pipeline as they take turns in one task: each goes on until its pipe is full, or empty, and the first
// that can go on is next. So a stage whose output fits into its pipe ends before the next begins.
import type { Preempt, Sleeps } from "@hetmem/kernel";
import { type Pipe, PipeWait } from "./pipe.ts";
import type { ProcessPort, RunningPrograms } from "./process-port.ts";

export interface Stage {
  readonly task: Sleeps<number>;
  /** The pipe that it reads from, and the one that it writes to. */
  readonly from: Pipe | undefined;
  readonly to: Pipe | undefined;
}

interface StageState extends Stage {
  programs: RunningPrograms;
  /** The wait that holds it up; undefined while it can go on. */
  wait: PipeWait | undefined;
  /** Its status, once it has ended. */
  status: number | undefined;
}

/** Runs the stages to their ends. @returns the status of the last */
export function* runStages(stages: readonly Stage[], processes: ProcessPort): Sleeps<number> {
  const states = stages.map((stage): StageState => ({
    ...stage,
    programs: processes.running ?? [],
    wait: undefined,
    status: undefined,
  }));
  try {
    // Ends: with the last stage; where one waits for a pipe the stage at its other end can go on.
    for (;;) {
      const next = states.find(({ status, wait }) => status === undefined && (wait?.ready() ?? true));
      if (next) yield* goOn(next, processes);
      else if (states.every(({ status }) => status !== undefined)) return states.at(-1)?.status ?? 0;
      else yield new PipeWait(() => states.some(({ wait }) => wait?.ready() ?? false));
    }
  } finally {
    for (const state of states) if (state.status === undefined) yield* leave(state, processes);
  }
}

/** One stage runs until it waits for a pipe, or ends. */
function* goOn(state: StageState, processes: ProcessPort): Sleeps<void> {
  state.wait = undefined;
  // Ends: with the stage's task.
  for (;;) {
    const { done, value } = step(state, processes, () => state.task.next());
    if (done) return end(state, value);
    if (value instanceof PipeWait && !value.ready()) {
      state.wait = value;
      return;
    }
    yield value;
  }
}

/** Ends a stage that can't go on, and the programs that it started. */
function* leave(state: StageState, processes: ProcessPort): Sleeps<void> {
  let next = step(state, processes, () => state.task.return(0));
  // Ends: with the clean-up of the task.
  while (!next.done) {
    if (!(next.value instanceof PipeWait)) yield next.value;
    next = step(state, processes, () => state.task.next());
  }
  end(state, 0);
}

/** One step of a stage, with its programs as the running ones. */
function step(
  state: StageState,
  processes: ProcessPort,
  advance: () => IteratorResult<Preempt, number>,
): IteratorResult<Preempt, number> {
  const outer = processes.running ?? [];
  processes.resume?.(state.programs);
  try {
    return advance();
  } catch (error) {
    end(state, 0);
    throw error;
  } finally {
    state.programs = processes.running ?? [];
    processes.resume?.(outer);
  }
}

function end(state: StageState, status: number): void {
  state.status = status;
  state.wait = undefined;
  state.from?.closeReader();
  state.to?.closeWriter();
}
