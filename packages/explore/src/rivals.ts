// Rivals: tasks that conflict on a machine. A machine serves several scenarios in turn, since making one mostly takes
// longer than a schedule; each scenario is a round of the machine. Each seed gives one order of the tasks' steps, and
// the scenario checks its machine after each step. A failure names the machine's seed and the round, which together
// replay it. A suite fails when an ending that it names never occurs, and when its rounds don't replay.
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

/** Builds the scenario of a seed. Equal seeds give equal scenarios on machines that have served the same rounds. */
export type MakeScenario = (seed: number) => Scenario;

/** Scenarios, and the machines that serve them. */
export interface Rivals {
  /**
   * Boots a machine for a seed. The returned function is called once per round, with that seed and the following
   * ones.
   */
  readonly machine: (seed: number) => MakeScenario;
  /** Rounds per machine; 1 for a fresh machine per scenario. */
  readonly rounds: number;
  /** Endings that must occur besides the success of each task, as "admin: EBUSY". */
  readonly endings: readonly string[];
}

export interface RivalsReport {
  readonly schedules: number;
  readonly steps: number;
  /** Number of occurrences of each ending of each task, as "admin: done" and "admin: EBUSY". */
  readonly endings: ReadonlyMap<string, number>;
}

/** Identifies a schedule: the machine's seed and the round, from 0 on. The seed of the schedule is their sum. */
export interface Round {
  readonly seed: number;
  readonly round: number;
}

/** A schedule that failed: an invariant was broken, or a task threw something other than a KernelError. */
export class ScheduleFailure extends Error {
  override readonly name = "ScheduleFailure";
  readonly at: Round;
  /** The choices of the failing round, as replaySchedule() takes them. */
  readonly schedule: readonly number[];

  constructor(at: Round, schedule: readonly number[], cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `seed ${at.seed}, round ${at.round} fails after ${schedule.length} choices: ${reason}\n` +
        `replay with HETMEM_SEED=${at.seed} HETMEM_ROUND=${at.round}, whose last choices are [${schedule.join(",")}]`,
      { cause },
    );
    this.at = at;
    this.schedule = schedule;
  }
}

/** Rivals with one machine per scenario. */
export function freshMachines(make: MakeScenario, endings: readonly string[] = []): Rivals {
  return { machine: () => make, rounds: 1, endings };
}

/**
 * Runs the schedules of a plan, or replays one machine up to a round.
 *
 * @param rivals rivals, or a function that builds each scenario on a machine of its own as for freshMachines()
 * @param plan a plan, or a number of schedules from seed 0 on
 * @returns the schedules and steps run, and the occurrences of each ending
 * @throws ScheduleFailure at the first schedule that fails
 * @throws KernelBug after all schedules, when a required ending never occurred or the last machine's rounds don't
 * replay
 */
export function runRivals(rivals: Rivals | MakeScenario, plan: RivalsPlan | number): RivalsReport {
  return runPlan(
    typeof rivals === "function" ? freshMachines(rivals) : rivals,
    typeof plan === "number" ? { schedules: plan } : plan,
  );
}

function runPlan(rivals: Rivals, plan: RivalsPlan): RivalsReport {
  const { schedules, first = 0, round: only } = plan;
  if (only !== undefined && only >= rivals.rounds)
    throw new KernelBug(
      `a machine serves ${rivals.rounds} rounds here, from 0 on: there is no round ${only}`,
    );
  const count = only === undefined ? schedules : only + 1;
  const endings = new Map<string, number>();
  let steps = 0;
  let last: Execution | undefined;
  for (let seed = first; seed < first + count; seed += rivals.rounds) {
    last = runMachine(rivals, seed, Math.min(rivals.rounds, first + count - seed), (execution) => {
      steps += execution.steps;
      for (const ending of execution.endings) endings.set(ending, (endings.get(ending) ?? 0) + 1);
    });
  }
  if (plan.complete) demandEndings(endings, rivals.endings);
  if (only === undefined && last) demandReplay(rivals, last);
  return { schedules: count, steps, endings };
}

/**
 * Replays a round in a recorded order, after the rounds that its machine served before.
 *
 * @throws ScheduleFailure when the round fails
 */
export function replaySchedule(rivals: Rivals, { seed, round }: Round, schedule: readonly number[]): void {
  const make = rivals.machine(seed);
  for (let before = 0; before < round; before++) runRound(make, { seed, round: before });
  runRound(make, { seed, round }, replayChoice(schedule));
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

/** The outcome of one round. */
interface Execution {
  readonly at: Round;
  readonly steps: number;
  readonly schedule: readonly number[];
  readonly endings: readonly string[];
}

/** @returns the outcome of the last round */
function runMachine(
  rivals: Rivals,
  seed: number,
  rounds: number,
  note: (execution: Execution) => void,
): Execution | undefined {
  const make = rivals.machine(seed);
  let last: Execution | undefined;
  for (let round = 0; round < rounds; round++) {
    last = runRound(make, { seed, round });
    note(last);
  }
  return last;
}

function runRound(
  make: MakeScenario,
  at: Round,
  choice: Choice = seededChoice(at.seed + at.round),
): Execution {
  const scenario = make(at.seed + at.round);
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
    throw new ScheduleFailure(at, scheduler.schedule, error);
  }
  const endings = tasks.map(({ name, state }) => {
    if (state.kind === "running") throw new KernelBug(`task ${name} never ended`);
    return `${name}: ${state.kind === "done" ? "done" : (state.error as KernelError).errno}`;
  });
  return { at, steps, schedule: scheduler.schedule, endings };
}

/**
 * Runs the rounds of the last machine again and compares: a failure can be replayed only if a machine's rounds are
 * deterministic.
 */
function demandReplay(rivals: Rivals, expected: Execution): void {
  const { seed, round } = expected.at;
  const found = runMachine(rivals, seed, round + 1, () => {});
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new KernelBug(
      `seed ${seed}, round ${round} doesn't replay: something is kept that its machine wasn't made with ` +
        `(${expected.steps} steps before, ${found?.steps} now)`,
    );
}
