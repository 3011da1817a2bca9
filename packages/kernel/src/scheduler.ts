// Interleaves tasks, one step at a time, in an order that a Choice decides: a seed for exploration, a recorded list
// for replay. A failing run is reproduced by its seed or by its list of choices. Kernel counterpart:
// kernel/sched/core.c, without its nondeterminism.
import { KernelBug } from "./error.ts";
import type { Kernel } from "./kernel.ts";
import type { LockHolder } from "./lockdep.ts";
import { Random } from "./random.ts";
import type { Preempt, Sleeps } from "./task.ts";

/** Picks the index of the next task among `count` runnable ones. */
export type Choice = (count: number) => number;

/** Random choices; equal seeds give equal orders. */
export function seededChoice(seed: number): Choice {
  const random = new Random(seed);
  return (count) => random.below(count);
}

/**
 * Replays a recorded schedule.
 *
 * @throws KernelBug at the step where the record ends or names a task that isn't runnable
 */
export function replayChoice(schedule: readonly number[]): Choice {
  let at = 0;
  return (count) => {
    const index = schedule[at++];
    if (index === undefined || index >= count)
      throw new KernelBug(`the schedule does not fit at step ${at - 1}`);
    return index;
  };
}

/** The state of a task: running, or its result. */
export type TaskState<T> =
  | { readonly kind: "running" }
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "failed"; readonly error: unknown };

export class Task<T = unknown> implements LockHolder {
  readonly name: string;
  readonly held: string[] = [];
  readonly body: Sleeps<T>;
  state: TaskState<T> = { kind: "running" };
  waitsFor: Preempt | undefined;

  constructor(name: string, body: Sleeps<T>) {
    this.name = name;
    this.body = body;
  }

  get runnable(): boolean {
    return this.state.kind === "running" && (this.waitsFor === undefined || this.waitsFor.ready());
  }

  /** The return value of a finished task. @throws the error that the task threw; KernelBug while the task runs */
  get result(): T {
    if (this.state.kind === "failed") throw this.state.error;
    if (this.state.kind === "running") throw new KernelBug(`task ${this.name} has not finished`);
    return this.state.value;
  }
}

export class Scheduler {
  readonly tasks: Task[] = [];
  /** The choices made so far, as replayChoice() takes them. */
  readonly schedule: number[] = [];
  readonly #kernel: Kernel;
  readonly #choice: Choice;

  constructor(kernel: Kernel, choice: Choice) {
    this.#kernel = kernel;
    this.#choice = choice;
  }

  spawn<T>(name: string, body: Sleeps<T>): Task<T> {
    const task = new Task(name, body);
    this.tasks.push(task as Task);
    return task;
  }

  /**
   * Runs one task to its next yield.
   *
   * @returns false when all tasks have ended
   * @throws KernelBug for a deadlock or a leaked lock
   */
  step(): boolean {
    const runnable = this.#runnable();
    if (runnable.length === 0) return false;
    const index = runnable.length === 1 ? 0 : this.#choice(runnable.length);
    if (runnable.length > 1) this.schedule.push(index);
    const task = runnable[index];
    if (!task) throw new KernelBug(`choice ${index} of ${runnable.length} tasks`);
    this.#advance(task);
    return true;
  }

  /** Runs all tasks to their ends and calls `afterStep` after each step. */
  runAll(afterStep: () => void = () => {}): void {
    while (this.step()) afterStep();
  }

  #runnable(): Task[] {
    const running = this.tasks.filter((task) => task.state.kind === "running");
    const ready = running.filter((task) => task.runnable);
    if (ready.length > 0 || running.length === 0) return ready;
    const timers = running.flatMap((task) => task.waitsFor?.timer ?? []);
    const next = timers.sort((a, b) => a.deadlineNs - b.deadlineNs)[0];
    if (!next) {
      const waits = running.map(
        (task) => `${task.name} waits for ${task.waitsFor?.why ?? "?"} holding [${task.held.join(", ")}]`,
      );
      throw new KernelBug(`deadlock: ${waits.join("; ")}`);
    }
    next.expire();
    return running.filter((task) => task.runnable);
  }

  #advance(task: Task): void {
    const { lockdep } = this.#kernel;
    const before = lockdep.current;
    lockdep.current = task;
    try {
      const step = task.body.next();
      if (step.done) task.state = { kind: "done", value: step.value };
      else task.waitsFor = step.value;
    } catch (error) {
      task.state = { kind: "failed", error };
    } finally {
      lockdep.current = before;
    }
    if (task.state.kind !== "running" && task.held.length > 0) {
      throw new KernelBug(`task ${task.name} ended holding ${task.held.join(", ")}`, { cause: task.state });
    }
  }
}
