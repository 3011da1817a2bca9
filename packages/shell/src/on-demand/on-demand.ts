// Programs whose code is loaded when they are first run, as a kernel reads an executable: a table of many programs costs a page
// in a browser little until they are used. The process that runs one waits for the code as a task waits for anything else.
// Code arrives by an event of the host, which drive() handles and run() doesn't.
import type { Preempt, Sleeps } from "@hetmem/kernel";
import { type Program, type ShellMachine, UsageProblem } from "../program.ts";

/** `$?` of a program that was found and can't be started. */
const NOT_STARTED_STATUS = 126;

/**
 * A program that loads its code. `run()` of a line that names it is a KernelBug until the code is there: `drive()` waits for it.
 *
 * @param load gives the program: `async () => (await import("@hetmem/ndctl")).ndctl`. It is called once, and again after it failed:
 *   the program then ends with status 126 and the reason.
 */
export function onDemand<M extends ShellMachine>(load: () => Promise<Program<M>>): Program<M> {
  let program: Program<M> | undefined;
  return function* (io, args) {
    program ??= yield* loaded(io.name, load());
    return yield* program(io, args);
  };
}

function* loaded<T>(name: string, code: Promise<T>): Sleeps<T> {
  const wait = new CodeWait(name, code);
  yield wait;
  return wait.code();
}

/** The wait for code that comes from outside of the machine. */
export class CodeWait<T = unknown> implements Preempt {
  readonly why: string;
  /** Resolves when the code is there, or won't come. */
  readonly settled: Promise<void>;
  #outcome: { readonly code: T } | { readonly error: unknown } | undefined;

  constructor(program: string, code: Promise<T>) {
    this.why = `the code of ${program}, which is loaded on demand: await drive() of @hetmem/shell/on-demand in place of run(), or make the shell with programs that are loaded`;
    this.settled = code.then(
      (loadedCode) => void (this.#outcome = { code: loadedCode }),
      (error: unknown) => void (this.#outcome = { error }),
    );
  }

  ready(): boolean {
    return this.#outcome !== undefined;
  }

  /** @throws UsageProblem when it could not be loaded */
  code(): T {
    if (this.#outcome && "code" in this.#outcome) return this.#outcome.code;
    const reason = this.#outcome ? wordsOf(this.#outcome.error) : "it isn't there yet";
    throw new UsageProblem(`its code can't be loaded: ${reason}`, NOT_STARTED_STATUS);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
