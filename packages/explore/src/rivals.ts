// Tasks that get in each other's way. A scenario builds a fresh machine and the tasks that run on it; each seed gives
// one order of their steps, and the invariants are checked after every step. A failure carries the seed and the order,
// and either of them runs it again.
import {
  type Kernel,
  KernelBug,
  KernelError,
  replayChoice,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "@hetmem/kernel";

/** One run's machine and what runs on it. */
export interface Scenario {
  readonly kernel: Kernel;
  /** By name, for reports. A KernelError ends a task as it would end a system call; anything else is a failure. */
  readonly tasks: Readonly<Record<string, () => Sleeps<unknown>>>;
  /** Called after each step. @throws when an invariant is broken */
  afterStep(): void;
  /** Called once all tasks have ended. @throws when something leaked */
  afterwards(): void;
}

/** Builds a scenario from nothing, the same one for the same seed. */
export type MakeScenario = (seed: number) => Scenario;

export interface RivalsReport {
  readonly schedules: number;
  readonly steps: number;
  /** How often each task ended in success and in each errno: shows that the rivals do meet. */
  readonly endings: ReadonlyMap<string, number>;
}

/** A schedule that broke something. */
export class ScheduleFailure extends Error {
  override readonly name = "ScheduleFailure";
  readonly seed: number;
  /** What replaySchedule() takes. */
  readonly schedule: readonly number[];

  constructor(seed: number, schedule: readonly number[], cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `seed ${seed} fails after ${schedule.length} choices: ${reason}\nreplay with seed ${seed}, or schedule [${schedule.join(",")}]`,
      {
        cause,
      },
    );
    this.seed = seed;
    this.schedule = schedule;
  }
}

/**
 * Runs a scenario under `count` seeds, from `first` on.
 *
 * @throws ScheduleFailure at the first that breaks something
 */
export function runRivals(make: MakeScenario, count: number, first = 0): RivalsReport {
  const endings = new Map<string, number>();
  let steps = 0;
  for (let seed = first; seed < first + count; seed++) {
    const scenario = make(seed);
    steps += runSchedule(scenario, new Scheduler(scenario.kernel, seededChoice(seed)), seed, endings);
  }
  return { schedules: count, steps, endings };
}

/** Runs a scenario in a recorded order. @throws ScheduleFailure when it breaks something */
export function replaySchedule(make: MakeScenario, seed: number, schedule: readonly number[]): void {
  const scenario = make(seed);
  runSchedule(scenario, new Scheduler(scenario.kernel, replayChoice(schedule)), seed, new Map());
}

function runSchedule(
  scenario: Scenario,
  scheduler: Scheduler,
  seed: number,
  endings: Map<string, number>,
): number {
  const tasks = Object.entries(scenario.tasks).map(([name, body]) => scheduler.spawn(name, body()));
  let steps = 0;
  try {
    scheduler.runAll(() => {
      steps++;
      for (const { state } of tasks)
        if (state.kind === "failed" && !(state.error instanceof KernelError)) throw state.error;
      scenario.afterStep();
    });
    scenario.afterwards();
  } catch (error) {
    throw new ScheduleFailure(seed, scheduler.schedule, error);
  }
  for (const { name, state } of tasks) {
    if (state.kind === "running") throw new KernelBug(`task ${name} never ended`);
    const ending = `${name}: ${state.kind === "done" ? "done" : (state.error as KernelError).errno}`;
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  return steps;
}
