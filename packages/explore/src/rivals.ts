// Rivals: tasks that conflict on a machine. Each schedule has a machine of its own, made for its seed, and the seed gives one
// order of the tasks' steps; the scenario checks its machine after each step. A failure names the seed, from which it is
// replayed. A suite fails when an ending that it names never occurs, and when its last schedule doesn't replay.
import {
  type Choice,
  type Kernel,
  KernelBug,
  KernelError,
  replayChoice,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "@hetmem/kernel";
import { demandEndings } from "./endings.ts";
import type { RivalsPlan } from "./plan.ts";
import "./version.ts";

/** The tasks of one schedule and the checks of their machine. */
export interface Scenario {
  readonly kernel: Kernel;
  /** Tasks by name. A KernelError ends a task as it would end a system call; any other error fails the schedule. */
  readonly tasks: Readonly<Record<string, () => Sleeps<unknown>>>;
  /** Called after each step. @throws when an invariant is broken */
  afterStep(): void;
  /** Called when all tasks have ended. @throws when a resource leaked */
  afterwards(): void;
}

/** Boots a machine and builds the scenario of a seed on it. Equal seeds give equal scenarios. */
export type MakeScenario = (seed: number) => Scenario;

export interface RivalsReport {
  readonly schedules: number;
  readonly steps: number;
  /** Number of occurrences of each ending of each task, as "admin: done" and "admin: EBUSY". */
  readonly endings: ReadonlyMap<string, number>;
}

/** A schedule that failed: an invariant was broken, or a task threw something other than a KernelError. */
export class ScheduleFailure extends Error {
  override readonly name = "ScheduleFailure";
  readonly seed: number;
  /** The choices made, as replaySchedule() takes them. */
  readonly schedule: readonly number[];

  constructor(seed: number, schedule: readonly number[], cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `seed ${seed} fails after ${schedule.length} choices: ${reason}\n` +
        `replay with HETMEM_SEED=${seed} HETMEM_SCHEDULES=1, whose choices are [${schedule.join(",")}]`,
      { cause },
    );
    this.seed = seed;
    this.schedule = schedule;
  }
}

/**
 * Runs the schedules of a plan.
 *
 * @param plan a plan, or a number of schedules from seed 0 on
 * @param endings endings that must occur besides the success of each task, as "admin: EBUSY", where the plan is complete
 * @returns the schedules and steps run, and the occurrences of each ending
 * @throws ScheduleFailure at the first schedule that fails
 * @throws KernelBug after all schedules, when a required ending never occurred or the last schedule doesn't replay
 */
export function runRivals(
  make: MakeScenario,
  plan: RivalsPlan | number,
  endings: readonly string[] = [],
): RivalsReport {
  const {
    schedules,
    first = 0,
    complete = false,
  }: RivalsPlan = typeof plan === "number" ? { schedules: plan } : plan;
  const met = new Map<string, number>();
  let steps = 0;
  let last: Execution | undefined;
  for (let seed = first; seed < first + schedules; seed++) {
    last = execute(make, seed);
    steps += last.steps;
    for (const ending of last.endings) met.set(ending, (met.get(ending) ?? 0) + 1);
  }
  if (complete) demandEndings(met, endings);
  if (last) demandReplay(make, last);
  return { schedules, steps, endings: met };
}

/**
 * Runs the schedule of one seed.
 *
 * @throws ScheduleFailure when it fails
 */
export function runSchedule(make: MakeScenario, seed: number): void {
  execute(make, seed);
}

/**
 * Replays a recorded order of steps.
 *
 * @param seed seed of the scenario, from which its machine is made
 * @throws ScheduleFailure when the schedule fails
 */
export function replaySchedule(make: MakeScenario, seed: number, schedule: readonly number[]): void {
  execute(make, seed, replayChoice(schedule));
}

/**
 * Picks one of several task bodies by `seed` modulo their number.
 *
 * @returns its name and body
 * @throws KernelBug when there are none
 */
export function byTurns<T>(
  bodies: Readonly<Record<string, T>>,
  seed: number,
): readonly [name: string, body: T] {
  const all = Object.entries(bodies);
  const chosen = all[seed % all.length];
  if (chosen === undefined) throw new KernelBug("there is nobody to take turns");
  return chosen;
}

/** The task bodies of the given names. @throws KernelBug for an unknown name */
export function onlyNamed<T>(
  bodies: Readonly<Record<string, T>>,
  names: readonly string[],
): Readonly<Record<string, T>> {
  return Object.fromEntries(
    names.map((name) => {
      const body = bodies[name];
      if (body === undefined)
        throw new KernelBug(`nobody is called "${name}": there are ${Object.keys(bodies).join(", ")}`);
      return [name, body];
    }),
  );
}

/** The outcome of one schedule. */
interface Execution {
  readonly seed: number;
  readonly steps: number;
  readonly schedule: readonly number[];
  readonly endings: readonly string[];
}

function execute(make: MakeScenario, seed: number, choice: Choice = seededChoice(seed)): Execution {
  const scenario = make(seed);
  const scheduler = new Scheduler(scenario.kernel, choice);
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
  const endings = tasks.map(({ name, state }) => {
    if (state.kind === "running") throw new KernelBug(`task ${name} never ended`);
    return `${name}: ${state.kind === "done" ? "done" : (state.error as KernelError).errno}`;
  });
  return { seed, steps, schedule: scheduler.schedule, endings };
}

/** Runs the last schedule again and compares: a failure can be replayed only if nothing is kept from machine to machine. */
function demandReplay(make: MakeScenario, expected: Execution): void {
  const found = execute(make, expected.seed);
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new KernelBug(
      `seed ${expected.seed} doesn't replay: something is kept that its machine wasn't made with ` +
        `(${expected.steps} steps before, ${found.steps} now)`,
    );
}
