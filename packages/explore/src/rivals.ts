// Tasks that get in each other's way. A machine serves some scenarios, one after another, since to make one mostly takes
// longer than a schedule: each is a round of that machine. Each seed gives one order of the tasks' steps, and a scenario
// looks at its machine after each. A failure names the seed that the machine was made at and the round, which together run
// everything again that led to it. A suite that never meets what it names as endings fails, and so does one whose rounds
// don't replay.
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

/** What runs in one schedule, and how its machine is looked at. */
export interface Scenario {
  readonly kernel: Kernel;
  /** By name, for reports. A KernelError ends a task as it would end a system call; anything else is a failure. */
  readonly tasks: Readonly<Record<string, () => Sleeps<unknown>>>;
  /** Called after each step. @throws when an invariant is broken */
  afterStep(): void;
  /** Called once all tasks have ended. @throws when something leaked */
  afterwards(): void;
}

/** Builds the scenario of a seed: the same one for the same seed, on a machine that has served the same rounds. */
export type MakeScenario = (seed: number) => Scenario;

/** Scenarios, and the machines that serve them. */
export interface Rivals {
  /** Boots a machine at a seed. What it gives is called with that seed and those that follow, once a round. */
  readonly machine: (seed: number) => MakeScenario;
  /** Rounds that a machine serves; 1 where each scenario has a fresh one. */
  readonly rounds: number;
  /** Endings that must occur beside the success of each task, as "admin: EBUSY". */
  readonly endings: readonly string[];
}

export interface RivalsReport {
  readonly schedules: number;
  readonly steps: number;
  /** How often each task ended in success and in each errno, as "admin: done" and "admin: EBUSY". */
  readonly endings: ReadonlyMap<string, number>;
}

/** Which schedule: the seed that the machine was made at, and the round, from 0 on. The schedule's own seed is their sum. */
export interface Round {
  readonly seed: number;
  readonly round: number;
}

/** A schedule that broke something. */
export class ScheduleFailure extends Error {
  override readonly name = "ScheduleFailure";
  readonly at: Round;
  /** The choices of its own round: what replaySchedule() takes. */
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

/** Rivals whose every scenario has a machine of its own. */
export function freshMachines(make: MakeScenario, endings: readonly string[] = []): Rivals {
  return { machine: () => make, rounds: 1, endings };
}

/**
 * Runs rivals as a plan says: under so many seeds, or the rounds of one machine up to one.
 *
 * @param rivals a function makes each scenario on a machine of its own, as freshMachines() does
 * @param plan a number is as many schedules, from seed 0 on
 * @throws ScheduleFailure at the first schedule that breaks something
 * @throws KernelBug when all has run and an ending was never met, or the last machine's rounds don't replay
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

/** Runs a round in a recorded order, behind the rounds that its machine served before. @throws ScheduleFailure when it breaks something */
export function replaySchedule(rivals: Rivals, { seed, round }: Round, schedule: readonly number[]): void {
  const make = rivals.machine(seed);
  for (let before = 0; before < round; before++) runRound(make, { seed, round: before });
  runRound(make, { seed, round }, replayChoice(schedule));
}

/** One of some bodies by turns, and its name. @throws KernelBug when there are none */
export function byTurns<T>(
  bodies: Readonly<Record<string, T>>,
  seed: number,
): readonly [name: string, body: T] {
  const all = Object.entries(bodies);
  const chosen = all[seed % all.length];
  if (chosen === undefined) throw new KernelBug("there is nobody to take turns");
  return chosen;
}

/** Those of some bodies that are named. @throws KernelBug for a name that none of them has */
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

/** What one round came to. */
interface Execution {
  readonly at: Round;
  readonly steps: number;
  readonly schedule: readonly number[];
  readonly endings: readonly string[];
}

/** @returns what the last round came to */
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

/** A report is worth what its replay is: the rounds of the last machine must run as they did. */
function demandReplay(rivals: Rivals, expected: Execution): void {
  const { seed, round } = expected.at;
  const found = runMachine(rivals, seed, round + 1, () => {});
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new KernelBug(
      `seed ${seed}, round ${round} doesn't replay: something is kept that its machine wasn't made with ` +
        `(${expected.steps} steps before, ${found?.steps} now)`,
    );
}
